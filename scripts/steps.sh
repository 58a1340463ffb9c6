# Steps within a time budget, for scripts that source this file; needs $out, $deadline and PYTHONPATH.
#
# step NAME LEAST MOST COMMAND...: run it if LEAST seconds are left, for at most MOST; its log is OUT/NAME.log. With
# stdout=FILE before it only what it complains of goes to the log. Every step leaves a line in OUT/steps.txt.

left() { echo $((deadline - SECONDS)); }

step() {
    local name=$1 least=$2 most=$3; shift 3
    local given; given=$(left); [ "$given" -gt "$most" ] && given=$most
    if [ "$given" -lt "$least" ]; then
        echo "skipped  $name: $(left) s left, it needs $least" | tee -a "$out/steps.txt"
        return 1
    fi
    local began=$SECONDS code
    if [ -n "${stdout:-}" ]; then
        timeout --kill-after=10 "$given" "$@" > "$stdout" 2> "$out/$name.log"; code=$?
    else
        timeout --kill-after=10 "$given" "$@" > "$out/$name.log" 2>&1; code=$?
    fi
    local word="done    "; [ "$code" = 0 ] || word="failed $code"
    echo "$word $name: $((SECONDS - began)) s" | tee -a "$out/steps.txt"
    [ "$code" = 0 ] || tail -n 2 "$out/$name.log"
    return "$code"
}
