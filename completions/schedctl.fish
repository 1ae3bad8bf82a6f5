# Completion of schedctl for fish: `make install` puts it where fish looks, and `schedctl completion
# fish` prints it. It knows no command and no flag: it hands the line to `schedctl __complete fish
# WORD...`, which answers with the words that could stand at the cursor, one a line, perhaps with a
# tab and a note. A first line ":KIND SETTLED" asks for what the shell knows better; SETTLED is what
# of the word belongs to none of it ("--config=", "sqlite:").

function __schedctl_complete
    set -l words (commandline -opc)
    set -l current (commandline -ct)
    set -l program $words[1]
    command -q -- $program
    or set program schedctl
    set -l lines (command $program __complete fish $words[2..] "$current" 2>/dev/null)
    if string match -q -- ':*' "$lines[1]"
        set -l asked (string split -m 1 ' ' -- $lines[1])
        set -e lines[1]
        set -l settled "$asked[2]"
        set -l rest (string sub -s (math (string length -- "$settled") + 1) -- "$current")
        switch $asked[1]
            case :files
                set -a lines "$settled"(__fish_complete_path "$rest")
            case :directories
                set -a lines "$settled"(__fish_complete_directories "$rest")
            case :users
                set -a lines "$settled"(__fish_complete_users)
            case :groups
                set -a lines "$settled"(__fish_complete_groups)
            case :command
                # What follows "--" is somebody else's command line.
                set -l dashes (contains -i -- -- $words)
                set -e words[1..$dashes]
                complete -C (string join -- ' ' (string escape -- $words) "$current")
        end
    end
    test (count $lines) -eq 0
    or printf '%s\n' $lines
end

complete -c schedctl -f -a '(__schedctl_complete)'
