#pragma once

#include "tests/store/stores.hpp"

/// The conformance suite (jobs.cpp, runs.cpp, records.cpp): what every backend promises. Each case
/// runs once for each of them.
namespace schedctl::store {

struct Memory {
  std::unique_ptr<Store> store = open_memory();
};

struct Sqlite {
  ScratchDir dir;
  std::unique_ptr<Store> store = must(open_sqlite({.path = dir.file("test.db")}));
};

#define FOR_EACH_BACKEND(sentence) TEST_CASE_TEMPLATE(sentence, Backend, Memory, Sqlite)
#define OPEN_STORE \
  Backend backend; \
  Store& store = *backend.store

}  // namespace schedctl::store
