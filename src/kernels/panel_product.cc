#include "kernels/panel_product.h"

#include <algorithm>

#include "base/error.h"
#include "kernels/isa.h"

namespace moiety {
namespace {

const PanelKernels& kernels_of(Isa isa) {
  switch (isa) {
    case Isa::amx:
    case Isa::avx512bf16:
    case Isa::avx512vnni: return panel_kernels_avx512vnni;
    case Isa::avx512: return panel_kernels_avx512;
    case Isa::avxvnni: return panel_kernels_avxvnni;
    case Isa::avx2: return panel_kernels_avx2;
    case Isa::portable: break;
  }
  return panel_kernels_portable;
}

}  // namespace

const PanelKernels& panel_kernels() { return kernels_of(current_isa()); }

std::vector<const PanelKernels*> available_panel_kernels() {
  std::vector<const PanelKernels*> out;
  for (Isa isa : runnable_isas())
    if (const PanelKernels* kernels = &kernels_of(isa); out.empty() || out.back() != kernels) out.push_back(kernels);  // some sets share one
  return out;
}

PanelKernel panel_kernel_of(const PanelKernels& kernels, TensorType type) {
  if (type == TensorType::f32) return kernels.f32;
  if (type == TensorType::f16) return kernels.f16;
  if (type == TensorType::bf16) return kernels.bf16;
  const PanelFormat* f = panel_format(type);
  if (!f) throw Error("tensors of type {} have no kernel order", type_info(type).name);
  return kernels.quantised[f - panel_formats];
}

RowPointers::RowPointers(TensorType type, Activations& x, Workers& workers) {
  if (panel_format(type)) q8_ = &x.q8(workers);
  else floats_ = x.floats();
}

RowPointers::RowPointers(TensorType type, ConstRows x, Q8Rows& room) : floats_(x) {
  if (!panel_format(type)) return;
  room = Q8Rows(x.rows, x.cols);
  for (size_t t = 0; t < x.rows; t++) quantise_row(x[t], x.cols, room[t]);
  q8_ = &room;
}

ReadyPanels::ReadyPanels(const Matrix& w, size_t begin, size_t end, PanelRoom& room) : begin_(begin), end_(end), bytes_(panel_bytes(w.type, w.cols)) {
  const PanelFormat* f = panel_format(w.type);
  first_ = w.panels + begin * bytes_;
  if (!f || !f->at_use) return;
  const size_t ready = ready_bytes(*f, w.cols);
  room.resize(std::max(room.size(), (end - begin) * ready / sizeof(PanelLine)));
  auto* out = reinterpret_cast<std::byte*>(room.data());
  for (size_t p = begin; p < end; p++) take_apart_panel(*f, w.panels + p * bytes_, w.cols, out + (p - begin) * ready);
  first_ = out, bytes_ = ready, apart_ = true;
}

size_t ReadyPanels::together(const Matrix& w, size_t tokens) {
  const PanelFormat* f = panel_format(w.type);
  if (!f || !f->at_use) return SIZE_MAX;
  return tokens <= panel_kernels().tile ? 1 : std::max<size_t>(1, (size_t{128} << 10) / std::max<size_t>(1, ready_bytes(*f, w.cols)));
}

namespace {

struct Place {  // a range of panels of one matrix among all panels of the products
  const MatrixProduct* product;
  PanelKernel multiply;
  RowPointers rows;
  size_t first, bytes;  // panels before it, bytes of one
};

// Rows in tiles that stay in the first-level cache while panels, which the second-level cache holds, pass by.
void multiply_panels(const Place& place, size_t begin, size_t end, size_t tokens) {
  static thread_local PanelRoom room;
  const Matrix& w = *place.product->w;
  const ReadyPanels ready(w, begin, end, room);
  PairOutputs out[panel_tile];
  const void* some[panel_tile];
  for (size_t t = 0, count; t < tokens; t += count) {
    count = panel_kernels().next_rows(tokens - t);
    for (size_t k = 0; k < count; k++) some[k] = place.rows[t + k];
    for (size_t p = begin; p < end; p += 2) {
      place.multiply(ready.pair(p, ready[std::min(p + 2, end)], t > 0), w.cols, some, count, out);
      const size_t column = p * panel_rows, wide = std::min(std::min<size_t>(2, end - p) * panel_rows, w.rows - column);
      for (size_t k = 0; k < count; k++) std::copy_n(out[k], wide, place.product->y[t + k] + column);
    }
  }
}

// Panels that all rows of x can pass by before others displace them from the second-level cache.
size_t panels_that_fit(size_t bytes) { return std::max<size_t>(1, (size_t{256} << 10) / bytes); }

void multiply_range(const Place& place, size_t begin, size_t end, size_t tokens) {
  const size_t step = tokens > panel_kernels().tile ? panels_that_fit(place.bytes) : end - begin;
  for (; begin < end; begin += step)
    ReadyPanels::each_part(*place.product->w, begin, std::min(end, begin + step), tokens,
                           [&](size_t first, size_t last) { multiply_panels(place, first, last, tokens); });
}

}  // namespace

void panel_product(const Matrix& w, ConstRows x, Rows y) {
  Q8Rows room;
  const MatrixProduct product{&w, y};
  const Place place{&product, panel_kernel_of(panel_kernels(), w.type), RowPointers(w.type, x, room), 0, panel_bytes(w.type, w.cols)};
  multiply_range(place, 0, panels(w.rows), x.rows);
}

void panel_products(std::span<const MatrixProduct> products, Activations& x, Workers& workers) {
  if (x.rows() == 0) return;
  std::vector<Place> places;
  size_t all = 0, bytes = 1;
  for (const MatrixProduct& p : products) {
    places.push_back({&p, panel_kernel_of(panel_kernels(), p.w->type), RowPointers(p.w->type, x, workers), all, panel_bytes(p.w->type, p.w->cols)});
    all += panels(p.w->rows);
    bytes = std::max(bytes, places.back().bytes);
  }
  // Enough work for a worker to fetch a range.
  const size_t worthwhile = x.rows() > 1 ? panels_that_fit(bytes) : std::max<size_t>(1, (size_t{64} << 10) / bytes);
  const size_t grain = std::min(worthwhile, all / workers.size() / 4 + 1);
  workers.run(all, grain, [&](size_t begin, size_t end, size_t) {
    for (size_t i = 0; i < places.size(); i++) {
      const size_t first = places[i].first, last = i + 1 < places.size() ? places[i + 1].first : all;
      if (begin < last && end > first) multiply_range(places[i], std::max(begin, first) - first, std::min(end, last) - first, x.rows());
    }
  }, x.rows() > 1 ? Ranges::many : Ranges::few);
}

}  // namespace moiety
