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

# plan_steps MANIFEST NAME LEAST MOST COMMAND...: step, or where $at_once is 1 a step NAME-STAGE with --stage for every
# stage of the bundle, all at the same time: that takes as long as the longest, and disturbs what TensorRT measures.
plan_steps() {
    local manifest=$1 name=$2 least=$3 most=$4 stage builds=() code=0; shift 4
    if [ "${at_once:-0}" != 1 ]; then step "$name" "$least" "$most" "$@"; return; fi
    for stage in $("$tensorrt_python" -c 'import json, sys; print(*json.load(open(sys.argv[1]))["stages"])' "$manifest"); do
        step "$name-$stage" "$least" "$most" "$@" --stage "$stage" & builds+=($!)
    done
    for stage in "${builds[@]}"; do wait "$stage" || code=1; done
    return "$code"
}
