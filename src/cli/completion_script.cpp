#include "schedctl/base/text.hpp"
#include "src/cli/families.hpp"
#include "src/cli/output.hpp"

// The scripts are the files in completions/, which are installed as they are: the assembler puts
// them into the program (paths are relative to the top of the source tree, where make runs).

// NOLINTBEGIN(hicpp-no-assembler)
asm(R"(
  .pushsection .rodata
schedctl_completion_bash:
  .incbin "completions/schedctl.bash"
schedctl_completion_zsh:
  .incbin "completions/_schedctl"
schedctl_completion_fish:
  .incbin "completions/schedctl.fish"
schedctl_completion_end:
  .global schedctl_completion_bash, schedctl_completion_zsh
  .global schedctl_completion_fish, schedctl_completion_end
  .popsection
)");
// NOLINTEND(hicpp-no-assembler)

extern "C" {
extern const char schedctl_completion_bash[];
extern const char schedctl_completion_zsh[];
extern const char schedctl_completion_fish[];
extern const char schedctl_completion_end[];
}

namespace schedctl::cli {

Result<Outcome> run_completion(const Invocation& call) {
  const std::string& shell = call.words[0];
  if (shell == "bash") {
    print({schedctl_completion_bash, schedctl_completion_zsh});
  } else if (shell == "zsh") {
    print({schedctl_completion_zsh, schedctl_completion_fish});
  } else if (shell == "fish") {
    print({schedctl_completion_fish, schedctl_completion_end});
  } else {
    return fail(ErrorKind::usage, "there is no completion for \"" + escape_control(shell) +
                                      "\"; there is one for bash, zsh and fish");
  }
  return Done{};
}

}  // namespace schedctl::cli
