// Numbers that depend on the step.
#pragma once
#include <cstdint>
#include <functional>
#include <span>
#include <string_view>

namespace moiety {

class Table;

class Schedule {
 public:
  Schedule(double constant) : value_([constant](uint64_t) { return constant; }) {}
  explicit Schedule(std::function<double(uint64_t step)> value) : value_(std::move(value)) {}
  double at(uint64_t step) const { return value_(step); }  // steps count from 0

 private:
  std::function<double(uint64_t)> value_;
};

struct ScheduleInfo {
  std::string_view name, meaning, source;
  Schedule (*build)(const Table& table, uint64_t steps);  // of the whole run
};
// All of them: learn/registry.cc.
std::span<const ScheduleInfo> schedules();

// From 0 to 1 in `warmup` steps; the first step is not at 0.
double warm(uint64_t step, uint64_t warmup);
// How far step is on its way from `begin` to `end`, in [0, 1].
double part_of(uint64_t step, uint64_t begin, uint64_t end);

}  // namespace moiety
