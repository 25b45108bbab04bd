#include "text/tokenizer_file.h"

#include "base/error.h"
#include "base/json.h"

namespace moiety {
namespace {

using nlohmann::json;
constexpr size_t kDeepest = 64;

// Takes the parser's events: those inside the long lists become entries, the others a tree.
class Reader : public nlohmann::json_sax<json> {
 public:
  explicit Reader(const std::string& origin) : origin_(origin) {}
  TokenizerFile file;

  bool null() override { return value(json()); }
  bool boolean(bool v) override { return value(json(v)); }
  bool number_integer(int64_t v) override { return in_list() ? number(static_cast<double>(v), v) : value(json(v)); }
  bool number_unsigned(uint64_t v) override { return in_list() ? number(static_cast<double>(v), v > INT64_MAX ? -1 : static_cast<int64_t>(v)) : value(json(v)); }
  bool number_float(double v, const std::string&) override { return in_list() ? number(v, {}) : value(json(v)); }
  bool string(std::string& v) override { return in_list() ? word(std::move(v)) : value(json(std::move(v))); }
  bool binary(json::binary_t&) override { return false; }  // JSON as text has none

  bool start_object(size_t) override { return open(json::object()); }
  bool end_object() override { return close(); }
  bool start_array(size_t) override { return open(json::array()); }
  bool end_array() override { return close(); }
  bool key(std::string& k) override {
    key_ = std::move(k);
    return true;
  }
  bool parse_error(size_t, const std::string&, const json::exception& e) override { throw Error("{}: is not JSON: {}", origin_, json_reason(e.what())); }

 private:
  enum class List { none, vocab, merges };

  bool in_list() const { return list_ != List::none; }
  [[noreturn]] void fail(const std::string& reason) const { throw Error("{}: {}", origin_, reason); }
  [[noreturn]] void wrong_entry() const {
    if (list_ == List::merges) fail("a merge is no pair of texts");
    fail(list_is_object_ ? "the id of token '" + key_ + "' is no integer" : "an entry of the vocab is no [token, score]");
  }

  bool value(json v) {
    if (in_list()) wrong_entry();
    add(std::move(v));
    return true;
  }

  json* add(json v) {
    if (open_.empty()) return &(file.rest = std::move(v));
    json& parent = *open_.back();
    if (parent.is_array()) return &parent.emplace_back(std::move(v));
    return &(parent[key_] = std::move(v));
  }

  bool open(json container) {
    if (in_list()) {  // an entry that is a pair
      if (in_entry_ || list_is_object_ || container.is_object()) wrong_entry();
      in_entry_ = true;
      words_.clear(), number_.reset();
      return true;
    }
    const bool inside_model = open_.size() == 2 && model_ == open_.back();
    if (inside_model && (key_ == "vocab" || (key_ == "merges" && container.is_array()))) {
      list_ = key_ == "vocab" ? List::vocab : List::merges;
      list_is_object_ = container.is_object();
      if (list_ == List::vocab) file.has_vocab = true, file.tokens.clear(), file.pieces.clear();
      else file.merges.clear();
      return true;
    }
    if (open_.size() >= kDeepest) fail("nests too deeply");
    const bool is_model = open_.size() == 1 && open_[0]->is_object() && key_ == "model";
    open_.push_back(add(std::move(container)));
    if (is_model) model_ = open_.back();
    return true;
  }

  bool close() {
    if (!in_list()) open_.pop_back();
    else if (in_entry_) pair();
    else list_ = List::none;
    return true;
  }

  bool word(std::string v) {
    if (in_entry_) {
      words_.push_back(std::move(v));
    } else if (list_ == List::merges) {
      const size_t space = v.find(' ', 1);
      if (space == std::string::npos) fail("merge '" + v + "' is no pair");
      file.merges.emplace_back(v.substr(0, space), v.substr(space + 1));
    } else {
      wrong_entry();
    }
    return true;
  }

  bool number(double v, std::optional<int64_t> integer) {
    if (in_entry_ && !number_) number_ = v;
    else if (list_ == List::vocab && list_is_object_ && integer) file.tokens.emplace_back(key_, *integer);
    else wrong_entry();
    return true;
  }

  void pair() {
    in_entry_ = false;
    if (list_ == List::merges) {
      if (words_.size() != 2 || number_) wrong_entry();
      file.merges.emplace_back(std::move(words_[0]), std::move(words_[1]));
    } else {
      if (words_.size() != 1 || !number_) wrong_entry();
      file.pieces.emplace_back(std::move(words_[0]), static_cast<float>(*number_));
    }
  }

  const std::string& origin_;
  std::vector<json*> open_;  // containers that have begun and not ended
  const json* model_ = nullptr;
  std::string key_;
  List list_ = List::none;
  bool list_is_object_ = false, in_entry_ = false;
  std::vector<std::string> words_;  // of the entry
  std::optional<double> number_;
};

}  // namespace

TokenizerFile parse_tokenizer_file(std::string_view text, const std::string& origin) {
  Reader reader(origin);
  json::sax_parse(text, &reader);
  return std::move(reader.file);
}

}  // namespace moiety
