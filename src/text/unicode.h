// Classes of code points, as the `tokenizers` package has them, whose tables differ in age from utf8proc's (Unicode 15.0).
#pragma once
#include <cstdint>
#include <string>

namespace moiety {

enum class CharClass : uint8_t { other, letter, number, space };

// As \p{L}, \p{N} and \s of the package's regular expressions: Unicode 16.
CharClass class_of(uint32_t code_point);

bool is_decimal_digit(uint32_t code_point);  // \d
bool is_space(uint32_t code_point);

// As the package's BertPreTokenizer, Punctuation and BertNormalizer have them: ASCII symbols count as punctuation, and what came after
// Unicode 8 (2015) does not.
bool is_bert_punctuation(uint32_t code_point);
bool is_bert_accent(uint32_t code_point);    // what strip_accents drops
bool is_bert_control(uint32_t code_point);   // what clean_text drops

bool is_mark(uint32_t code_point);           // what StripAccents drops
uint32_t to_lower(uint32_t code_point);      // but U+0130, whose lower case is two code points

// Normalisation form C of a text; bytes that are no UTF-8 stay as they are.
std::string compose(const std::string& text);

}  // namespace moiety
