// Debian has no static libraries of spdlog and fmt, but all that they are made of is in their
// headers. `make dist` compiles it here, so that its program needs neither on the machine where it
// runs; every other build links the shared ones.

#define FMT_HEADER_ONLY
#define SPDLOG_DISABLE_DEFAULT_LOGGER
#include <fmt/format.h>
#include <spdlog/common-inl.h>
#include <spdlog/details/backtracer-inl.h>
#include <spdlog/details/log_msg-inl.h>
#include <spdlog/details/log_msg_buffer-inl.h>
#include <spdlog/details/os-inl.h>
#include <spdlog/details/periodic_worker-inl.h>
#include <spdlog/details/registry-inl.h>
#include <spdlog/logger-inl.h>
#include <spdlog/pattern_formatter-inl.h>
#include <spdlog/sinks/base_sink-inl.h>
#include <spdlog/sinks/sink-inl.h>
#include <spdlog/spdlog-inl.h>

#include <mutex>

template class spdlog::sinks::base_sink<std::mutex>;
