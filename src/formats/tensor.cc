#include "formats/tensor.h"

#include <algorithm>

#include "base/error.h"

namespace moiety {

void check_apart(std::span<const Tensor> tensors, const std::string& origin) {
  std::vector<const Tensor*> order;
  for (const Tensor& tensor : tensors)
    if (!tensor.bytes.empty()) order.push_back(&tensor);
  std::ranges::sort(order, {}, [](const Tensor* t) { return t->bytes.data(); });
  for (size_t i = 1; i < order.size(); i++)
    if (order[i - 1]->bytes.data() + order[i - 1]->bytes.size() > order[i]->bytes.data())
      throw Error("{}: tensors {} and {} share bytes; the file is damaged", origin, order[i - 1]->name, order[i]->name);
}

}  // namespace moiety
