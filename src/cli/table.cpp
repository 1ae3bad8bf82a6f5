#include "src/cli/table.hpp"

#include <algorithm>

#include "schedctl/base/check.hpp"
#include "schedctl/base/text.hpp"

namespace schedctl::cli {
namespace {

constexpr std::size_t kGap = 2;
/// A flexible column is not cut below this.
constexpr std::size_t kNarrowest = 12;

bool is_lead_byte(char c) {
  return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U;
}

bool is_simple(std::string_view text) {
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return c >= ' ' && c < '\x7f' && c != '\\'; });
}

std::string cut(std::string_view text, std::size_t width) {
  std::size_t characters = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (!is_lead_byte(text[i])) continue;
    if (++characters == width) return std::string(text.substr(0, i)) + "…";
  }
  return std::string(text);
}

}  // namespace

std::size_t display_width(std::string_view text) {
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), is_lead_byte));
}

void Table::add(std::vector<Cell> row) {
  CHECK(row.size() == columns_.size());
  for (Cell& cell : row)
    if (!is_simple(cell.text)) cell.text = escape_control(cell.text);
  rows_.push_back(std::move(row));
}

std::string Table::render(int width) const {
  std::vector<std::size_t> widths;
  for (const Column& column : columns_) widths.push_back(display_width(column.title));
  for (const auto& row : rows_)
    for (std::size_t i = 0; i < row.size(); ++i)
      widths[i] = std::max(widths[i], display_width(row[i].text));

  std::size_t total = kGap * (columns_.size() - 1);
  for (const std::size_t w : widths) total += w;
  const auto room = static_cast<std::size_t>(std::max(width, 0));
  for (std::size_t i = columns_.size(); i-- > 0 && width > 0 && total > room;) {
    if (!columns_[i].flexible || widths[i] <= kNarrowest) continue;
    const std::size_t less = std::min(total - room, widths[i] - kNarrowest);
    widths[i] -= less;
    total -= less;
  }

  std::string out;
  out.reserve((rows_.size() + 1) * (total + 1));
  const auto put_row = [&](const auto& text_of) {
    for (std::size_t i = 0; i < columns_.size(); ++i) {
      Cell cell = text_of(i);
      std::size_t taken = display_width(cell.text);
      if (taken > widths[i]) {
        cell.text = cut(cell.text, widths[i]);
        taken = widths[i];
      }
      const std::size_t pad = widths[i] - taken;
      if (columns_[i].right) out.append(pad, ' ');
      out += paint(cell.color, cell.text);
      if (i + 1 == columns_.size()) break;
      if (!columns_[i].right) out.append(pad, ' ');
      out.append(kGap, ' ');
    }
    while (!out.empty() && out.back() == ' ') out.pop_back();
    out += '\n';
  };
  put_row([&](std::size_t i) { return Cell(columns_[i].title, Color::bold); });
  for (const auto& row : rows_) put_row([&](std::size_t i) { return row[i]; });
  return out;
}

}  // namespace schedctl::cli
