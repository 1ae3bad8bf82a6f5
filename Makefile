# schedctl: build, test, measure. `make help` lists the targets from their own comments.
#
# One static library a room, one binary, one test program a room. A variant is a set of flags with a
# directory of its own under $(BUILD): release (the default), asan (what `make test` runs), tsan, fuzz.

BUILD    ?= build
VARIANT  ?= release
PREFIX   ?= /usr/local
DESTDIR  ?=
CXX      ?= g++
VERSION  := $(shell cat VERSION)

ROOMS := base job config zone store loop host keeper alert executor retention runner ops cli daemon

# What Debian calls hardening=+all; sources by the names they have here, so that the same tree makes the
# same program wherever it lies.
FLAGS_release := -O2 -g1 -DNDEBUG -fPIE -fstack-protector-strong -fstack-clash-protection \
                 -D_FORTIFY_SOURCE=2 -Wformat-security -ffile-prefix-map=$(CURDIR)=.
LDFLAGS_release := -pie -Wl,-z,relro -Wl,-z,now
FLAGS_asan    := -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=undefined \
                 -fno-omit-frame-pointer -D_GLIBCXX_ASSERTIONS -DSCHEDCTL_CRASH_POINTS
# g++ 12 takes optional members for uninitialized ones once they are instrumented.
FLAGS_tsan    := -O1 -g -fsanitize=thread -fno-omit-frame-pointer -Wno-maybe-uninitialized \
                 -DSCHEDCTL_CRASH_POINTS
FLAGS_coverage := -O0 -g --coverage
# Of the variants only this one needs clang: the fuzzer is a library of it.
FLAGS_fuzz    := -O1 -g -fsanitize=fuzzer-no-link,address,undefined \
                 -fno-sanitize-recover=undefined -fno-omit-frame-pointer -D_GLIBCXX_ASSERTIONS
ifeq ($(VARIANT),fuzz)
override CXX := $(filter ccache,$(CXX)) clang++
endif

OUT      := $(BUILD)/$(VARIANT)
CXXFLAGS += -std=c++20 -Wall -Wextra -Wpedantic -Wshadow -Wnon-virtual-dtor -Werror -pthread \
            $(FLAGS_$(VARIANT))
LDFLAGS  += $(LDFLAGS_$(VARIANT))
CPPFLAGS += -Iinclude -I. -DSPDLOG_COMPILED_LIB -DSPDLOG_FMT_EXTERNAL -MMD -MP

# Abseil is linked statically: its two dozen small shared objects cost each command line a
# millisecond of start-up.
LDLIBS   := -Wl,--as-needed -lboost_program_options -lSQLiteCpp -lsqlite3 -lspdlog -lfmt -luuid \
            -Wl,-Bstatic -lre2 $(filter -labsl%,$(shell pkg-config --static --libs absl_time 2>/dev/null)) \
            -Wl,-Bdynamic

# All processors for the targets that build and then do something, unless the caller said -j.
JOBS = $(if $(findstring -j,$(MAKEFLAGS)),,-j$(shell nproc))

src_of    = $(sort $(shell find src/$(1) -name '*.cpp' 2>/dev/null))
test_of   = $(sort $(wildcard tests/$(1)/*.cpp))
objs      = $(patsubst %.cpp,$(OUT)/obj/%.o,$(1))
LIBS     := $(foreach r,$(ROOMS),$(OUT)/lib/lib$(r).a)
# Highest floor first, so that each room's symbols are resolved by the rooms below it.
LINKLIBS := $(foreach r,daemon cli ops runner retention executor alert keeper host loop store zone config job base,$(OUT)/lib/lib$(r).a)
BINARY   := $(if $(filter release,$(VARIANT)),$(BUILD)/schedctl,$(OUT)/schedctl)
TESTED   := $(foreach r,$(ROOMS) regressions,$(if $(call test_of,$(r)),$(r)))

.PHONY: all
all: $(BINARY)  ## build build/schedctl

.DELETE_ON_ERROR:
.SECONDARY:

# One line a file; V=1 shows the commands.
Q := $(if $(V),,@)

$(OUT)/obj/%.o: %.cpp
	@mkdir -p $(@D)
	@echo "  c++   $<"
	$(Q)$(CXX) $(CPPFLAGS) $(CXXFLAGS) -c -o $@ $<

$(OUT)/obj/src/cli/version.o: CPPFLAGS += -DSCHEDCTL_VERSION='"$(VERSION)"'
$(OUT)/obj/src/cli/version.o: VERSION

$(OUT)/obj/src/cli/completion_script.o: $(wildcard completions/*)

define room_rule
$(OUT)/lib/lib$(1).a: $(call objs,$(call src_of,$(1)))
	@mkdir -p $$(@D)
	@rm -f $$@
	@ar rcs $$@ $$^
endef
define test_rule
$(OUT)/tests/$(1): $(call objs,$(call test_of,$(1))) $(OUT)/obj/tests/main.o $(LIBS)
	@mkdir -p $$(@D)
	@echo "  link  $$@"
	$$(Q)$$(CXX) $$(CXXFLAGS) $$(LDFLAGS) -o $$@ $$(filter %.o,$$^) $(LINKLIBS) $$(LDLIBS)
endef
$(foreach r,$(ROOMS),$(eval $(call room_rule,$(r))))
$(foreach r,$(ROOMS) regressions,$(eval $(call test_rule,$(r))))

$(BINARY): $(OUT)/obj/src/main.o $(LIBS)
	@mkdir -p $(@D)
	@echo "  link  $@"
	$(Q)$(CXX) $(CXXFLAGS) $(LDFLAGS) -o $@ $(OUT)/obj/src/main.o $(LINKLIBS) $(LDLIBS)

# The program of `make dist`: of what it uses, only libc is not in it.
DIST_LDLIBS := -static-libstdc++ -static-libgcc -Wl,-Bstatic -lboost_program_options -lSQLiteCpp \
               -lsqlite3 -luuid -lre2 $(filter -labsl%,$(LDLIBS)) -Wl,-Bdynamic
$(OUT)/dist/schedctl: $(OUT)/obj/src/main.o $(OUT)/obj/src/bundled_log.o $(LIBS)
	@mkdir -p $(@D)
	@echo "  link  $@"
	$(Q)$(CXX) $(CXXFLAGS) $(LDFLAGS) -o $@ $(filter %.o,$^) $(LINKLIBS) $(DIST_LDLIBS)

# One program a file of tests/fuzz, linked with what the targets use.
FUZZ_LIBS := $(foreach r,ops alert keeper host loop store zone config job base,$(OUT)/lib/lib$(r).a)
FUZZERS   := $(patsubst tests/fuzz/%.cpp,$(OUT)/fuzzers/%,$(wildcard tests/fuzz/*.cpp))
$(OUT)/fuzzers/%: $(OUT)/obj/tests/fuzz/%.o $(FUZZ_LIBS)
	@mkdir -p $(@D)
	@echo "  link  $@"
	$(Q)$(CXX) $(CXXFLAGS) $(LDFLAGS) -fsanitize=fuzzer -o $@ $< $(FUZZ_LIBS) $(LDLIBS)

# Answers the questions of the oracles; a program of its own, because a process a question is dear.
$(OUT)/oracle/fires: $(OUT)/obj/tests/oracle/fires.o $(foreach r,zone job base,$(OUT)/lib/lib$(r).a)
	@mkdir -p $(@D)
	@echo "  link  $@"
	$(Q)$(CXX) $(CXXFLAGS) $(LDFLAGS) -o $@ $^ $(LDLIBS)

# --- what people type -------------------------------------------------------------------------

PACKAGES := g++ make pkg-config libboost-program-options-dev libsqlitecpp-dev libsqlite3-dev \
            libspdlog-dev libfmt-dev libtomlplusplus-dev doctest-dev libabsl-dev \
            nlohmann-json3-dev libexpected-dev libre2-dev uuid-dev libcurl4-openssl-dev tzdata procps
TEST_PACKAGES := python3 python3-croniter mandoc sqlite3 strace clang libclang-rt-dev clang-tidy \
                 clang-format
DEB_PACKAGES := dpkg-dev debhelper po-debconf
# start-stop-daemon is dpkg's, and there.
SYSTEM_PACKAGES := python3 supervisor logrotate shellcheck bash-completion zsh fish debootstrap \
                   systemd-container ansible-core ansible-lint lintian $(DEB_PACKAGES)

.PHONY: help
help: ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-12s %s\n", $$1, $$2}' Makefile

.PHONY: deps
deps: ## install the Debian packages that building and testing need (as root, or with sudo)
	@tests/tools/deps $(PACKAGES) $(TEST_PACKAGES)

.PHONY: up
up: deps ## install, build, start a daemon of your own with example jobs and watch them run
	@$(MAKE) --no-print-directory $(JOBS) all
	@etc/examples/up $(abspath $(BUILD))/schedctl

.PHONY: down
down: ## stop the daemon that `make up` started and remove its example jobs
	@etc/examples/down $(abspath $(BUILD))/schedctl

.PHONY: test
test: deps ## install, build with ASan and UBSan, run every test; the last line counts them
	@$(MAKE) --no-print-directory $(JOBS) VARIANT=asan _tests
	@tests/tools/run_tests $(BUILD)/asan

.PHONY: _tests
_tests: $(BINARY) $(OUT)/oracle/fires $(foreach r,$(TESTED),$(OUT)/tests/$(r))

.PHONY: test-room
test-room: ## build and run one room's unit tests: make test-room ROOM=job [VARIANT=asan]
	@$(MAKE) --no-print-directory VARIANT=$(or $(filter-out release,$(VARIANT)),asan) _test-room ROOM=$(ROOM)
.PHONY: _test-room
_test-room: $(OUT)/tests/$(ROOM)
	$(OUT)/tests/$(ROOM) $(ARGS)

.PHONY: test-e2e
test-e2e: ## build with ASan and run only the end-to-end stories [ARGS=name]
	@$(MAKE) --no-print-directory VARIANT=asan _binary
	@SCHEDCTL=$(abspath $(BUILD))/asan/schedctl python3 tests/e2e/run.py $(ARGS)
.PHONY: _binary
_binary: $(BINARY)

.PHONY: test-pressure
test-pressure: ## try with the release build where memory and descriptors run out, which ASan cannot
	@$(MAKE) --no-print-directory VARIANT=release _binary
	@SCHEDCTL=$(abspath $(BUILD))/schedctl python3 tests/e2e/run.py pressure_start pressure_run

.PHONY: test-system
test-system: ## try it with systemd, supervisord, start-stop-daemon, logrotate, shells [ARGS=name]
	@tests/tools/deps $(SYSTEM_PACKAGES) || echo "what cannot be had is skipped" >&2
	@$(MAKE) --no-print-directory $(JOBS) VARIANT=release _binary
	@SCHEDCTL=$(abspath $(BUILD))/schedctl tests/system/run $(ARGS)

.PHONY: oracle
oracle: ## hold the schedule language against other readings of it [SEED=n] [CASES=n] [ARGS=zone]
	@$(MAKE) --no-print-directory VARIANT=asan _oracle
	@SCHEDCTL=$(abspath $(BUILD))/asan/schedctl FIRES=$(abspath $(BUILD))/asan/oracle/fires \
	    SEED=$(SEED) CASES=$(CASES) tests/oracle/run.py $(ARGS)
.PHONY: _oracle
_oracle: $(BINARY) $(OUT)/oracle/fires

.PHONY: test-guest
test-guest: ## set the clock of a virtual machine, and let it sleep (installs qemu)
	@tests/tools/deps qemu-system-x86 cpio
	@$(MAKE) --no-print-directory VARIANT=asan _binary
	@GUEST_KERNEL=$$(tests/tools/guest_kernel $(BUILD)/guest) \
	    SCHEDCTL=$(abspath $(BUILD))/asan/schedctl python3 tests/e2e/run.py guest

.PHONY: tsan
tsan: ## build with ThreadSanitizer and run the threads under load
	@$(MAKE) --no-print-directory VARIANT=tsan _binary $(addprefix $(BUILD)/tsan/tests/,loop alert executor runner)
	@for t in loop alert executor runner; do TSAN_OPTIONS=halt_on_error=1 $(BUILD)/tsan/tests/$$t || exit 1; done
	@SCHEDCTL=$(abspath $(BUILD))/tsan/schedctl TSAN_OPTIONS=halt_on_error=1 python3 tests/e2e/run.py running alerts

.PHONY: fuzz
fuzz: ## fuzz every parser and protocol for a while each [SECONDS=20] [ARGS=name]
	@$(MAKE) --no-print-directory $(JOBS) VARIANT=fuzz _fuzzers ARGS="$(ARGS)"
	@tests/tools/fuzz $(BUILD)/fuzz $(or $(SECONDS),20) $(ARGS)
.PHONY: _fuzzers
_fuzzers: $(if $(ARGS),$(addprefix $(OUT)/fuzzers/,$(ARGS)),$(FUZZERS))

.PHONY: layers
layers: ## check that no room includes a higher one and that public headers name no library
	@tests/tools/layers

.PHONY: tidy
tidy: ## run clang-tidy over src/
	@tests/tools/tidy $(OUT) -- $(filter-out -MMD -MP,$(CPPFLAGS)) -DSCHEDCTL_VERSION=\"\" -std=c++20

.PHONY: analyze
analyze: ## run clang's static analyzer over src/ (slow)
	@TIDY_CHECKS='-*,clang-analyzer-*' tests/tools/tidy $(OUT)/analyze -- $(filter-out -MMD -MP,$(CPPFLAGS)) -DSCHEDCTL_VERSION=\"\" -std=c++20

.PHONY: format
format: ## format the code in place
	@clang-format -i $$(git ls-files '*.cpp' '*.hpp')

.PHONY: check-format
check-format: ## fail if `make format` would change something
	@clang-format --dry-run -Werror $$(git ls-files '*.cpp' '*.hpp')

.PHONY: docs
docs: all ## check the man pages, and that they name every command and flag
	@tests/docs/check_docs $(BINARY)

.PHONY: coverage
coverage: ## line coverage of the tests (needs gcovr)
	@$(MAKE) --no-print-directory VARIANT=coverage _tests
	@tests/tools/run_tests $(BUILD)/coverage
	@gcovr --root . --filter src/ --filter include/ $(BUILD)/coverage

BENCH_PROGRAMS := $(addprefix $(BUILD)/bench/,stamp bare nap ballast.so next_fire)
$(BUILD)/bench/%: tests/bench/%.c
	@mkdir -p $(@D)
	gcc -O2 -static -Wall -Wextra -o $@ $<
$(BUILD)/bench/%.so: tests/bench/%.c
	@mkdir -p $(@D)
	gcc -O2 -shared -fPIC -Wall -Wextra -o $@ $<
$(BUILD)/bench/next_fire: $(OUT)/obj/tests/bench/next_fire.o \
                          $(foreach r,zone job base,$(OUT)/lib/lib$(r).a)
	@mkdir -p $(@D)
	@echo "  link  $@"
	$(Q)$(CXX) $(CXXFLAGS) $(LDFLAGS) -o $@ $^ $(LDLIBS)

.PHONY: bench
bench: all $(BENCH_PROGRAMS) ## measure speed and memory, beside cron's and APScheduler's [ARGS="--quick"]
	@tests/bench/run --binary $(abspath $(BINARY)) --programs $(abspath $(BUILD))/bench $(ARGS)

# A file for /etc, to be copied from there: it names the program that is installed.
define install_example
@mkdir -p $(dir $(DESTDIR)$(PREFIX)/share/schedctl/$(3))
sed 's|/usr/bin/schedctl|$(PREFIX)/bin/schedctl|g; s|/usr/share/schedctl|$(PREFIX)/share/schedctl|g' $(2) \
	    > $(DESTDIR)$(PREFIX)/share/schedctl/$(3)
chmod $(1) $(DESTDIR)$(PREFIX)/share/schedctl/$(3)

endef
SYSTEMD_FILES := $(patsubst systemd/%,%,$(wildcard systemd/schedctl* systemd/*/*.conf))
SYSTEMD_FILES := $(filter-out %.d,$(SYSTEMD_FILES))

.PHONY: install
install: all ## install under DESTDIR/PREFIX (default /usr/local)
	install -D -m 0755 $(BINARY) $(DESTDIR)$(PREFIX)/bin/schedctl
	install -D -m 0644 man/schedctl.1 $(DESTDIR)$(PREFIX)/share/man/man1/schedctl.1
	install -D -m 0644 man/schedctl.toml.5 $(DESTDIR)$(PREFIX)/share/man/man5/schedctl.toml.5
	install -D -m 0644 man/schedctl-jobs.5 $(DESTDIR)$(PREFIX)/share/man/man5/schedctl-jobs.5
	install -D -m 0644 man/schedctl.7 $(DESTDIR)$(PREFIX)/share/man/man7/schedctl.7
	install -D -m 0644 man/schedctl-schedule.7 \
	    $(DESTDIR)$(PREFIX)/share/man/man7/schedctl-schedule.7
	install -D -m 0644 man/schedctl-keeper.8 $(DESTDIR)$(PREFIX)/share/man/man8/schedctl-keeper.8
	install -D -m 0644 etc/schedctl.toml.example \
	    $(DESTDIR)$(PREFIX)/share/doc/schedctl/schedctl.toml.example
	install -D -m 0644 etc/schedctl.env $(DESTDIR)$(PREFIX)/share/doc/schedctl/schedctl.env
	install -D -m 0644 completions/schedctl.bash \
	    $(DESTDIR)$(PREFIX)/share/bash-completion/completions/schedctl
	install -D -m 0644 completions/_schedctl \
	    $(DESTDIR)$(PREFIX)/share/zsh/vendor-completions/_schedctl
	install -D -m 0644 completions/schedctl.fish \
	    $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/schedctl.fish
	$(call install_example,0644,supervisor/schedctl.conf,supervisord.conf)
	$(call install_example,0755,sysvinit/schedctl,schedctl.init)
	$(call install_example,0644,sysvinit/schedctl.default,schedctl.default)
	$(call install_example,0644,etc/schedctl.logrotate,schedctl.logrotate)
	$(foreach f,$(SYSTEMD_FILES),$(call install_example,0644,systemd/$(f),systemd/$(f)))

.PHONY: deb
deb: ## make build/schedctl_VERSION_ARCH.deb of the tree as it is [DEB_VERSION=...]
	@tests/tools/deps $(PACKAGES) $(DEB_PACKAGES)
	@$(MAKE) --no-print-directory $(JOBS) VARIANT=release _binary
	@tests/tools/make_deb $(abspath $(BUILD)) $(DEB_VERSION)

.PHONY: dist
dist: ## make build/schedctl-VERSION-linux-ARCH.tar.gz, whose program needs only libc
	@tests/tools/deps $(PACKAGES)
	@$(MAKE) --no-print-directory $(JOBS) VARIANT=release _dist
	@tests/tools/make_dist $(abspath $(BUILD))
.PHONY: _dist
_dist: $(BINARY) $(OUT)/dist/schedctl

.PHONY: clean
clean: ## remove build/
	rm -rf $(BUILD)

-include $(shell find $(OUT)/obj -name '*.d' 2>/dev/null)
