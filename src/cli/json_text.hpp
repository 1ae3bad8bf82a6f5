#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

namespace schedctl::cli {

/// The document, on one line. Bytes that are no UTF-8 become U+FFFD: a document must always be one.
/// DEL and the C1 controls, which JSON lets stand, are escaped, for a document may be looked at on
/// a terminal.
std::string text_of(const nlohmann::ordered_json& json);

}  // namespace schedctl::cli
