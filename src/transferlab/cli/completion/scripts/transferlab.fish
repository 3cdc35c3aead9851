# Completion of transferlab for fish: transferlab completion fish | source
function __transferlab_complete
    set -l given (commandline -opc)
    set -l current (commandline -ct)
    for line in ($given[1] completion words -- $given[2..-1] "$current" 2>/dev/null)
        if test "$line" = :files
            __fish_complete_path "$current"
        else
            echo $line
        end
    end
end
complete -c transferlab -f -a '(__transferlab_complete)'
