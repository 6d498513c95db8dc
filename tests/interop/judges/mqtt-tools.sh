#!/usr/bin/env bash
# mosquitto_pub, mosquitto_sub and mosquitto_rr of Debian's mosquitto-clients, in every version.
set -u
. "$(dirname "$0")/../lib.sh"
if ! command -v mosquitto_pub >/dev/null; then
  echo "FAIL mosquitto-clients is not installed (apt-get install mosquitto-clients)"
  echo "0 passed, 1 failed"
  exit 1
fi
at=(-h "$HOST" -p "$MQTT_PORT" -u guest -P guest)
scratch=$(mktemp -d); trap 'rm -rf "$scratch"' EXIT
root=tools/$$ SUBSCRIBED_S=0.4

# sub NAME COUNT ARGUMENT...: reads COUNT messages in the background into $scratch/NAME.
sub() {
  local name=$1 count=$2; shift 2
  rm -f "$scratch/$name.end"
  (mosquitto_sub "${at[@]}" -W 8 -C "$count" "$@" >"$scratch/$name" 2>&1; : >"$scratch/$name.end") &
  sleep "$SUBSCRIBED_S"
}
# got NAME: what came, when all is there.
got() { until [ -e "$scratch/$1.end" ]; do sleep 0.05; done; cat "$scratch/$1"; }
pub() { mosquitto_pub "${at[@]}" "$@"; }

for version in 31 311 5; do
  for qos in 0 1 2; do
    topic=$root/$version/$qos
    sub a 1 -V "mqttv$version" -q "$qos" -t "$topic/+" -F '%t %q %p'
    pub -V "mqttv$version" -q "$qos" -t "$topic/é" -m "hello ü"
    check "v$version, QoS $qos" "$topic/é $qos hello ü" "$(got a)"
  done
done

for version in 311 5; do
  topic=$root/more/$version
  v=(-V "mqttv$version")
  pub "${v[@]}" -q 1 -r -t "$topic/r" -m kept
  sub a 1 "${v[@]}" -q 1 -t "$topic/#" -F '%r %p'
  check "v$version, retained" "1 kept" "$(got a)"
  pub "${v[@]}" -q 1 -r -n -t "$topic/r"
  sub a 1 "${v[@]}" -q 1 -t "$topic/#" -F '%r %p'
  pub "${v[@]}" -q 1 -t "$topic/x" -m new
  check "v$version, retained and removed" "0 new" "$(got a)"

  head -c 3000000 /dev/urandom >"$scratch/large"
  sub a 1 "${v[@]}" -q 2 -t "$topic/large" -N
  pub "${v[@]}" -q 2 -t "$topic/large" -f "$scratch/large"
  check "v$version, 3 MB" "$(md5sum <"$scratch/large")" "$(got a | md5sum)"

  # In version 5 mosquitto_pub and its own broker lose each other in QoS 2 with many lines.
  lines=(-q $((version == 5 ? 1 : 2)) -t "$topic/lines")
  sub a 500 "${v[@]}" "${lines[@]}"
  seq 1 500 | pub "${v[@]}" "${lines[@]}" -l
  check "v$version, 500 lines in order" "$(seq 1 500 | md5sum)" "$(got a | md5sum)"

  sub w 1 "${v[@]}" -q 1 -t "$topic/will" -F '%p'
  mosquitto_sub "${at[@]}" "${v[@]}" -t "$topic/nothing" --will-topic "$topic/will" \
    --will-payload gone --will-qos 1 & victim=$!
  sleep "$SUBSCRIBED_S"; kill -9 "$victim"; wait "$victim" 2>/dev/null
  check "v$version, a will" gone "$(got w)"

  kept=(-c -i "tools-$$-$version" -q 1 -t "$topic/kept")
  [ "$version" = 5 ] && kept+=(-x 60)
  mosquitto_sub "${at[@]}" "${v[@]}" "${kept[@]}" -E
  for number in 1 2 3; do pub "${v[@]}" -q 1 -t "$topic/kept" -m "$number"; done
  check "v$version, a session waits" "1 2 3" \
    "$(timeout 9 mosquitto_sub "${at[@]}" "${v[@]}" "${kept[@]}" -W 6 -C 3 | xargs)"
done

v=(-V mqttv5)
sub a 1 "${v[@]}" -q 1 -t "$root/p" -F '%P|%C|%R|%D|%p'
pub "${v[@]}" -q 1 -t "$root/p" -m x -D publish user-property k v \
  -D publish content-type text/plain -D publish response-topic answers \
  -D publish correlation-data 77
check "v5, properties" "k:v|text/plain|answers|77|x" "$(got a)"
sub a 4 "${v[@]}" -q 1 -t "\$share/g/$root/s"
sub b 4 "${v[@]}" -q 1 -t "\$share/g/$root/s"
seq 1 8 | pub "${v[@]}" -q 1 -t "$root/s" -l
found=$({ got a; got b; } | sort -n | md5sum)
check "v5, a group of two takes four each" "$(seq 1 8 | md5sum)" "$found"
sub server 1 "${v[@]}" -q 1 -t "$root/ask" -F '%R %p'
mosquitto_rr "${at[@]}" "${v[@]}" -q 1 -t "$root/ask" -e "$root/answer" -m question -W 6 \
  >"$scratch/rr" & asking=$!
check "v5, a question arrives" "$root/answer question" "$(got server)"
pub "${v[@]}" -q 1 -t "$root/answer" -m answer
wait "$asking"
check "v5, its answer, too" answer "$(cat "$scratch/rr")"
mosquitto_sub "${at[@]}" -V 5 -W 2 -t "a/#/b" >/dev/null 2>&1
check "a filter that is none is refused" yes "$([ $? != 0 ] && echo yes)"
if [ "${BROKER:-ferrymq}" = ferrymq ]; then
  mosquitto_pub -h "$HOST" -p "$MQTT_PORT" -u guest -P no -t x -m y >/dev/null 2>&1
  check "a wrong password is refused" yes "$([ $? != 0 ] && echo yes)"
  sub a 1 -t '$SYS/broker/version' -F '%p'
  check "\$SYS says a version" yes "$(got a | grep -q '[0-9]' && echo yes)"
fi
finish
