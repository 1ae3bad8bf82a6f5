#pragma once

#include <functional>
#include <string>
#include <unordered_map>
#include <vector>

#include "schedctl/base/result.hpp"
#include "schedctl/loop/loop.hpp"
#include "schedctl/loop/timer.hpp"

namespace schedctl::loop {

/// Tells that something in some directories was created, replaced, written or removed, a moment
/// after it was: a package that replaces a thousand files is told of a few times. One inotify
/// descriptor on the loop; used on its thread.
class DirectoryWatch {
 public:
  struct Place {
    std::string directory = {};
    std::string entry = {};  ///< the only one that counts; empty: all do
  };
  /// What is to be watched as things are now; asked again after each change, which may have brought
  /// other directories. Those that do not exist are left out.
  using Places = std::function<std::vector<Place>()>;

  /// `changed` is called `settle` after the first of the changes, with the watch set up anew, so
  /// that whoever then looks misses nothing.
  static Result<std::unique_ptr<DirectoryWatch>> create(Loop& loop, Places places, Duration settle,
                                                        std::function<void()> changed);
  ~DirectoryWatch();
  DirectoryWatch(const DirectoryWatch&) = delete;
  DirectoryWatch& operator=(const DirectoryWatch&) = delete;

 private:
  DirectoryWatch(Loop& loop, Places places, Duration settle, std::function<void()> changed,
                 MonotonicTimer timer);
  Result<void> begin();
  void end();
  void on_events();
  void on_settled();

  Loop& loop_;
  Places places_;
  Duration settle_;
  std::function<void()> changed_;
  MonotonicTimer timer_;
  UniqueFd inotify_;
  std::unordered_map<int, std::string> only_;  ///< by watch descriptor: Place::entry
};

}  // namespace schedctl::loop
