#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "src/cli/output.hpp"

namespace schedctl::cli {

/// Aligned columns for people. On a terminal too narrow for it, the columns marked flexible are
/// cut; elsewhere nothing ever is.
class Table {
 public:
  struct Column {
    std::string title;
    bool right = false;     ///< numbers
    bool flexible = false;  ///< may be cut on a terminal
  };
  struct Cell {
    std::string text;
    Color color = Color::none;
    Cell(std::string t, Color c = Color::none) : text(std::move(t)), color(c) {}
    Cell(const char* t) : text(t) {}
  };

  explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}
  /// As many cells as there are columns. Control characters in them are escaped.
  void add(std::vector<Cell> row);
  bool empty() const { return rows_.empty(); }
  /// `width`: columns of the terminal, 0 for none.
  std::string render(int width) const;

 private:
  std::vector<Column> columns_;
  std::vector<std::vector<Cell>> rows_;
};

/// The number of characters of a text, which is about the columns it takes.
std::size_t display_width(std::string_view text);

}  // namespace schedctl::cli
