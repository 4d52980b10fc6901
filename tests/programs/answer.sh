# Answers $query from the folder $SMI_ANSWERS, for the stand-ins beside this file.
# With `hangs-QUERY`, a FIFO, it says so there, and holds that open until it is killed.
# With `error` it prints that, and fails.
if [ -e "$SMI_ANSWERS/hangs-$query" ]; then
    exec 3>"$SMI_ANSWERS/hangs-$query"
    echo hanging >&3
    exec sleep 600
fi
if [ -e "$SMI_ANSWERS/error" ]; then
    cat "$SMI_ANSWERS/error" >&2
    exit 9
fi
exec cat "$SMI_ANSWERS/$query"
