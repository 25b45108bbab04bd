// "Did you mean": the word that was likely meant.
#pragma once
#include <cstddef>
#include <span>
#include <string>
#include <string_view>

namespace moiety {

// Edits from one word to another: a letter put in, left out, changed, or two neighbours swapped (Damerau 1964).
size_t edit_distance(std::string_view a, std::string_view b);

// The one of `known` that is most like `word`; "" if none is like it: at most a third of its characters differ, or one.
std::string nearest(std::string_view word, std::span<const std::string> known);

}  // namespace moiety
