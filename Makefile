# schedctl: build, test, measure. `make help` lists the targets from their own comments.
#
# One static library a room, one binary, one test program a room. A variant is a set of flags with a
# directory of its own under $(BUILD): release (the default), asan (what `make test` runs), tsan.

BUILD    ?= build
VARIANT  ?= release
PREFIX   ?= /usr/local
DESTDIR  ?=
CXX      ?= g++
VERSION  := $(shell cat VERSION)

ROOMS := base job config zone store loop host keeper executor runner ops cli daemon

FLAGS_release := -O2 -g1 -DNDEBUG
FLAGS_asan    := -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=undefined \
                 -fno-omit-frame-pointer -D_GLIBCXX_ASSERTIONS
FLAGS_tsan    := -O1 -g -fsanitize=thread -fno-omit-frame-pointer

OUT      := $(BUILD)/$(VARIANT)
CXXFLAGS += -std=c++20 -Wall -Wextra -Wpedantic -Wshadow -Wnon-virtual-dtor -Werror -pthread \
            $(FLAGS_$(VARIANT))
CPPFLAGS += -Iinclude -I. -DSPDLOG_COMPILED_LIB -DSPDLOG_FMT_EXTERNAL -MMD -MP

# Abseil is linked statically: its two dozen small shared objects cost each command line a
# millisecond of start-up.
LDLIBS   := -Wl,--as-needed -lboost_program_options -lSQLiteCpp -lsqlite3 -lspdlog -lfmt -luuid \
            -Wl,-Bstatic $(filter -labsl%,$(shell pkg-config --static --libs absl_time 2>/dev/null)) \
            -Wl,-Bdynamic

src_of    = $(sort $(shell find src/$(1) -name '*.cpp' 2>/dev/null))
test_of   = $(sort $(wildcard tests/$(1)/*.cpp))
objs      = $(patsubst %.cpp,$(OUT)/obj/%.o,$(1))
LIBS     := $(foreach r,$(ROOMS),$(OUT)/lib/lib$(r).a)
# Highest floor first, so that each room's symbols are resolved by the rooms below it.
LINKLIBS := $(foreach r,daemon cli ops runner executor keeper host loop store zone config job base,$(OUT)/lib/lib$(r).a)
BINARY   := $(if $(filter release,$(VARIANT)),$(BUILD)/schedctl,$(OUT)/schedctl)
TESTED   := $(foreach r,$(ROOMS),$(if $(call test_of,$(r)),$(r)))

.PHONY: all
all: $(BINARY)  ## build build/schedctl

.DELETE_ON_ERROR:
.SECONDARY:

$(OUT)/obj/%.o: %.cpp
	@mkdir -p $(@D)
	$(CXX) $(CPPFLAGS) $(CXXFLAGS) -c -o $@ $<

$(OUT)/obj/src/cli/version.o: CPPFLAGS += -DSCHEDCTL_VERSION='"$(VERSION)"'
$(OUT)/obj/src/cli/version.o: VERSION

define room_rule
$(OUT)/lib/lib$(1).a: $(call objs,$(call src_of,$(1)))
	@mkdir -p $$(@D)
	@rm -f $$@
	@ar rcs $$@ $$^
$(OUT)/tests/$(1): $(call objs,$(call test_of,$(1))) $(OUT)/obj/tests/main.o $(LIBS)
	@mkdir -p $$(@D)
	$$(CXX) $$(CXXFLAGS) -o $$@ $$(filter %.o,$$^) $(LINKLIBS) $$(LDLIBS)
endef
$(foreach r,$(ROOMS),$(eval $(call room_rule,$(r))))

$(BINARY): $(OUT)/obj/src/main.o $(LIBS)
	@mkdir -p $(@D)
	$(CXX) $(CXXFLAGS) -o $@ $(OUT)/obj/src/main.o $(LINKLIBS) $(LDLIBS)

.PHONY: test-room
test-room: ## build and run one room's unit tests: make test-room ROOM=job [VARIANT=asan]
	@$(MAKE) --no-print-directory VARIANT=$(or $(filter-out release,$(VARIANT)),asan) _test-room ROOM=$(ROOM)
.PHONY: _test-room
_test-room: $(OUT)/tests/$(ROOM)
	$(OUT)/tests/$(ROOM) $(ARGS)

-include $(shell find $(OUT)/obj -name '*.d' 2>/dev/null)
