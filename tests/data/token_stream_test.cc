// Streams against documents joined by hand; splits that hold.
#include "data/token_stream.h"

#include <algorithm>
#include <iterator>
#include <set>

#include "tests/data/small_data.h"

namespace moiety {
namespace {

TEST(TokenStream, ReadsAcrossChosenDocuments) {
  for (uint32_t seed = 0; seed < 20; seed++) {
    const TemporaryPath path("t");
    const auto documents = random_documents(seed, 30, 12);
    const auto file = write_documents(path, documents);
    std::mt19937 random(seed);
    std::vector<uint32_t> chosen;
    std::vector<SmallDocument> kept;
    for (uint32_t i = 0; i < documents.size(); i++)
      if (random() % 3) chosen.push_back(i), kept.push_back(documents[i]);
    const TokenStream stream(file, chosen);
    const std::vector<int32_t> all = joined(kept);
    ASSERT_EQ(stream.size(), all.size());
    for (size_t begin = 0; begin <= all.size(); begin++) {
      std::vector<int32_t> got(random() % (all.size() - begin + 1));
      stream.read(begin, got);
      ASSERT_TRUE(std::equal(got.begin(), got.end(), all.begin() + static_cast<ptrdiff_t>(begin))) << "seed " << seed << ", from " << begin;
    }
    for (size_t i = 0; i < stream.documents(); i++) EXPECT_EQ(stream.document(i).bytes, kept[i].text.size());
  }
}

TEST(TokenStream, FingerprintsTellChoicesAndFilesApart) {
  const TemporaryPath a("a"), b("b");
  const auto one = write_documents(a, random_documents(1, 9, 9)), other = write_documents(b, random_documents(2, 9, 9));
  const std::set<uint64_t> all = {TokenStream(one, {0, 1, 2}).fingerprint(), TokenStream(one, {0, 1, 3}).fingerprint(), TokenStream(one, {0, 1}).fingerprint(),
                                  TokenStream(other, {0, 1, 2}).fingerprint()};
  EXPECT_EQ(all.size(), 4u);
  EXPECT_EQ(TokenStream(one, {0, 1, 2}).fingerprint(), TokenStream(one, {0, 1, 2}).fingerprint());
}

std::vector<std::string> texts_of(const std::vector<SmallDocument>& documents, const std::vector<uint32_t>& chosen) {
  std::vector<std::string> out;
  for (uint32_t i : chosen) out.push_back(documents[i].text);
  return out;
}

TEST(Split, TakesItsShareAndKeepsItWhenDocumentsAreAdded) {
  const TemporaryPath path("t"), longer("longer");
  auto documents = random_documents(3, 3000, 2);
  documents[1].text = documents[0].text;  // a copy stays with its original
  const Split split{0.1, 7};
  const auto file = write_documents(path, documents);
  const auto training = documents_of(*file, 0, DocumentPart::training, split), validation = documents_of(*file, 0, DocumentPart::validation, split);
  EXPECT_EQ(training.size() + validation.size(), documents.size());
  std::vector<uint32_t> both;
  std::ranges::set_intersection(training, validation, std::back_inserter(both));
  EXPECT_TRUE(both.empty());
  EXPECT_NEAR(static_cast<double>(validation.size()), 300, 5 * std::sqrt(3000 * 0.1 * 0.9));
  EXPECT_EQ(std::ranges::count(validation, 0u), std::ranges::count(validation, 1u));

  const std::vector<std::string> before = texts_of(documents, validation);
  const auto front = random_documents(4, 500, 2);
  documents.insert(documents.begin(), front.begin(), front.end());
  const auto grown = write_documents(longer, documents);
  std::vector<std::string> after = texts_of(documents, documents_of(*grown, 0, DocumentPart::validation, split));
  EXPECT_TRUE(std::ranges::all_of(before, [&](const std::string& text) { return std::ranges::count(after, text) > 0; }));
  EXPECT_NE(documents_of(*file, 0, DocumentPart::validation, {0.1, 8}), validation);
  EXPECT_TRUE(documents_of(*file, 0, DocumentPart::validation, {}).empty());
}

TEST(Split, KeepsDomainsApart) {
  const TemporaryPath path("t");
  auto documents = random_documents(5, 40, 5);
  for (size_t i = 0; i < 40; i++) documents[i].domain = i % 3 ? "b" : "a";
  const auto file = write_documents(path, documents);
  for (size_t domain : {0, 1})
    for (uint32_t i : documents_of(*file, domain, DocumentPart::training, {})) EXPECT_EQ(documents[i].domain, file->domains()[domain]);
}

TEST(Split, SamplesUpToASize) {
  const TemporaryPath path("t");
  const auto documents = random_documents(6, 200, 5);
  const auto file = write_documents(path, documents);
  const auto all = documents_of(*file, 0, DocumentPart::training, {});
  const auto some = sample_documents(*file, all, 1000);
  uint64_t bytes = 0;
  for (uint32_t i : some) bytes += documents[i].text.size();
  EXPECT_LE(bytes, 1000u);
  EXPECT_GT(bytes, 900u);
  EXPECT_TRUE(std::ranges::is_sorted(some));
  EXPECT_EQ(sample_documents(*file, all, 1u << 30), all);
  EXPECT_EQ(sample_documents(*file, all, 0).size(), 1u);
  EXPECT_TRUE(sample_documents(*file, {}, 10).empty());
}

}  // namespace
}  // namespace moiety
