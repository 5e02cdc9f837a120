# What is always the same of fish's completion; 'ayre completion fish' adds what each command takes.

# Names that there are, of ayre's topics or segments.
function __ayre_names
    set -l program (commandline -opc)[1]
    $program $argv[1] list 2>/dev/null |
        string match -rv '^(file|memfd):|^(SEGMENT|TOPIC)  |\(removed\)$' |
        string replace -r '  .*' ''
end

function __ayre_topics
    if string match -q '*/*' -- (commandline -ct)
        __fish_complete_directories (commandline -ct)
    else
        __ayre_names topic
    end
end

function __ayre_segments
    set -l current (commandline -ct)
    set -l prefix (string match -r '^(?:file|sysv):' -- $current)
    if test -n "$prefix"
        printf "$prefix%s\n" (__fish_complete_path (string replace -- "$prefix" '' $current))
    else if string match -q '*/*' -- $current
        __fish_complete_path $current
    else
        __ayre_names segment
    end
end

# Is the line at these words, and nothing more?
function __ayre_after
    set -l words (commandline -opc)[2..-1]
    test "$words" = "$argv"
end

# Is the line behind these words?
function __ayre_in
    set -l words (commandline -opc)[2..-1]
    test (count $words) -ge (count $argv)
    and test "$words[1..$(count $argv)]" = "$argv"
end

# __ayre_operands COMMAND OPTION...: where among the words its operands are. The options are those that take a value.
function __ayre_operands
    set -l words (commandline -opc)[2..-1]
    set -l name (string split ' ' -- $argv[1])
    set -l at (math (count $name) + 1)
    set -l ended 0
    while test $at -le (count $words)
        if test $ended -eq 1; or not string match -q -- '-*' $words[$at]
            echo $at
        else if test "$words[$at]" = --
            set ended 1
        else if contains -- (string replace -r '^--' '' -- $words[$at]) $argv[2..-1]
            set at (math $at + 1)
        end
        set at (math $at + 1)
    end
end

# __ayre_operand NUMBER COMMAND OPTION...: is the word at the cursor this operand, counted from 0? "2-": or a later one.
function __ayre_operand
    set -l name (string split ' ' -- $argv[2])
    __ayre_in $name; or return
    set -l count (count (__ayre_operands $argv[2..-1]))
    if string match -q -- '*-' $argv[1]
        test $count -ge (string trim -c - -- $argv[1])
    else
        test $count -eq $argv[1]
    end
end

# Stages of a pipeline, each with the completion of its own program.
function __ayre_stage
    set -l words (commandline -opc)[2..-1]
    set -l first (__ayre_operands $argv)[1]
    set -l stage
    if test -n "$first"
        for word in $words[$first..-1]
            if contains -- $word :: '|'
                set stage
            else
                set -a stage $word
            end
        end
    end
    complete -C (string join ' ' -- (string escape -- $stage) (commandline -ct))
end

complete -c ayre -f
