#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "schedctl/base/result.hpp"

/// What a TOML document may not exceed: whoever reads it makes a tree of it, and walks and destroys
/// that by recursion.
namespace schedctl::config {

/// Levels of tables and lists, one in another. Settings and jobs have five.
inline constexpr std::size_t kDocumentDepth = 32;
/// Values, and tables on the way to them, of which each costs some 300 bytes of memory: 50,000 jobs
/// of twenty.
inline constexpr std::size_t kDocumentParts = 1'000'000;

/// Judges the text before anything is made of it: no key of more than kDocumentDepth parts, no more
/// than so many open brackets, no more than kDocumentParts values. So the tree has at most
/// (kDocumentDepth + 2) * kDocumentDepth levels, which any stack holds; whoever walks it refuses
/// what is below kDocumentDepth. Kind config, at PATH:LINE:COLUMN. Of a text that is no TOML it may
/// say anything, and reads no further than the text.
Result<void> check_bounds(std::string_view text, const std::string& path);

/// The error of a document that nests too deeply, at this place.
Error too_deep(std::string where);

}  // namespace schedctl::config
