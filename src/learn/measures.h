// What an evaluation says of the experts: how even their load is, whether they take to a domain, whether harder tokens get more of them.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "learn/evaluate.h"

namespace moiety {

// The largest load over the mean one, less 1: Wang et al. 2024, arXiv 2408.15664, section 4.1. No load: 0.
double max_violation(std::span<const int64_t> load);

// Bits that the one says of the other.   counts: [rows][columns], of rows that happened together
double mutual_information(std::span<const std::vector<int64_t>> counts);

// What an expert says of a token's domain at a site, beside the same where the windows' domains are shuffled: that much comes from few windows alone.
struct Specialisation {
  double bits = 0, shuffled = 0;  // the mean of 20 shuffles
};
Specialisation specialisation(std::span<const DomainResult> domains, size_t site, uint64_t seed);

// Spearman's rank correlation, equal values sharing their mean rank; 0 where one of them does not vary.
double rank_correlation(std::span<const float> a, std::span<const float> b);

}  // namespace moiety
