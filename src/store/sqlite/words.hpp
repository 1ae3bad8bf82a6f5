#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

/// Lists of words as JSON text in one column: an array for argv and tags, an object for the
/// environment. For valid UTF-8 it is plain JSON, which `sqlite3` can show and search; any other
/// byte is kept as it is, because a file name on a command line may be any bytes, and must be
/// executed as it was given. (A JSON library refuses such bytes, and takes several times as long
/// where `list` reads 10,000 of these.)
namespace schedctl::store::sqlite {

using Words = std::vector<std::string>;
using WordPairs = std::vector<std::pair<std::string, std::string>>;

/// Nothing for an empty list.
std::optional<std::string> encode_words(const Words& words);
std::optional<std::string> encode_pairs(const WordPairs& pairs);

/// False if `text` is not such a list; `words` is then incomplete.
bool decode_words(std::string_view text, Words& words);
bool decode_pairs(std::string_view text, WordPairs& pairs);

}  // namespace schedctl::store::sqlite
