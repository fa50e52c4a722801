# Runs as root in the virtual machine, with the installed files in place (tests/vm/run).
set -u
failed=0
check() {  # check WHAT COMMAND...
  local what=$1; shift
  if "$@"; then echo "ok: $what"; else echo "FAILED: $what"; failed=1; fi
}
within() {  # within SECONDS COMMAND...: until it succeeds
  local end=$((SECONDS + $1)); shift
  until "$@"; do [ $SECONDS -lt $end ] || return 1; sleep 0.1; done
}
echoes() { [ "$(printf 'hi\n' | nc -N -w 2 127.0.0.1 4040)" = hi ]; }
score() { systemd-analyze security --no-pager "$1" | sed -n 's/.*Overall exposure level for [^:]*: \([0-9.]*\).*/\1/p'; }
at_most() { awk -v a="$1" -v b="$2" 'BEGIN { exit !(a != "" && a <= b) }'; }
pid() { systemctl show -P MainPID bulkheadd; }
restarted() { [ "$(pid)" != 0 ] && [ "$(pid)" != "$1" ]; }

systemd-sysusers >/dev/null 2>&1
systemd-tmpfiles --create >/dev/null 2>&1
systemctl daemon-reload

check "the service starts" systemctl start bulkheadd
check "it serves" within 5 echoes
check "its exposure is at most 4.8 ($(score bulkheadd.service))" at_most "$(score bulkheadd.service)" 4.8

for i in 1 2 3 4 5 6 7; do
  old=$(pid); kill -KILL "$old"
  within 10 restarted "$old" || break
done
check "the master comes back after seven quick kills" within 10 systemctl is-active --quiet bulkheadd
check "and serves" within 5 echoes

exec 7<>/dev/tcp/127.0.0.1/4040
printf 'one\n' >&7; read -r -t 5 line <&7
old=$(pid); kill -KILL "$old"; within 10 restarted "$old"
printf 'two\n' >&7; read -r -t 5 line <&7
check "a connection outlives the master" [ "$line" = two ]
exec 7>&-

check "the service is active" within 10 systemctl is-active --quiet bulkheadd
check "an upgrade keeps the process" bash -c 'before=$(systemctl show -P MainPID bulkheadd); bulkheadctl upgrade >/dev/null && [ "$(systemctl show -P MainPID bulkheadd)" = "$before" ]'
check "it serves after the upgrade" within 5 echoes

cp /etc/bulkhead/bulkhead.json /root/good.json
echo '{"supervisor": 5}' > /etc/bulkhead/bulkhead.json
check "a reload of a bad file fails" bash -c '! systemctl reload bulkheadd 2>/dev/null'
check "and the service goes on" echoes
systemctl restart bulkheadd 2>/dev/null
check "with a bad file it does not start, with status 78" within 10 bash -c '[ "$(systemctl show -P ExecMainStatus bulkheadd)" = 78 ]'
sleep 3
check "and is not tried again" [ "$(systemctl is-active bulkheadd)" = failed ]
cp /root/good.json /etc/bulkhead/bulkhead.json
check "it starts with the good one" systemctl restart bulkheadd
check "workers and connections are killed before the daemon when memory runs out" bash -c 'exec 8<>/dev/tcp/127.0.0.1/4040; printf "x\n" >&8; read -r -t 5 _ <&8; for p in $(pgrep -P "$(systemctl show -P MainPID bulkheadd)"); do [ "$(cat /proc/$p/oom_score_adj)" -ge 500 ] || exit 1; done'
check "a listener without user has a uid of its own" bash -c '[ "$(ps -o uid= -p "$(pgrep -P "$(systemctl show -P MainPID bulkheadd)" | head -n 1)" | tr -d " ")" -ge 1900000000 ]'

cat > /etc/bulkhead/bulkhead.json <<'END'
{"supervisor": {"children": [
  {"id": "plain", "type": "listener", "listen": "127.0.0.1:4040", "user": "nobody", "state_directory": "plain",
   "handler": {"exec": ["/bin/sh", "-c", "read line; echo $line > $STATE_DIRECTORY/seen; cat $STATE_DIRECTORY/seen"]}},
  {"id": "strict", "type": "listener", "listen": "127.0.0.1:4041", "user": "nobody", "sandbox": "strict",
   "handler": {"exec": ["/bin/sh", "-c", "read line; touch /tmp/mine /etc/mine; echo $(ls /tmp) $(ls -d /proc/[0-9]* | wc -l) $(ls /home 2>&1 | wc -l)"]}}]}}
END
check "bulkheadd --check accepts a strict sandbox on this kernel" bulkheadd --check -c /etc/bulkhead/bulkhead.json
check "it starts with a strict sandbox and a state directory" systemctl restart bulkheadd
check "the state directory is written to" within 5 echoes
says() { printf 'hi\n' | nc -N -w 5 127.0.0.1 4041; }
check "a strict connection has its own /tmp and sees few processes ($(within 5 says; says))" bash -c '[[ "$(printf "hi\n" | nc -N -w 5 127.0.0.1 4041)" =~ ^mine\ [1-9]\  ]]'
check "and has left nothing in the host's" [ ! -e /tmp/mine -a ! -e /etc/mine ]
cp /root/good.json /etc/bulkhead/bulkhead.json
check "it stops" systemctl stop bulkheadd

mkdir -p /etc/systemd/system/bulkheadd.service.d
cp /usr/share/doc/bulkhead/examples/hardened.conf /etc/systemd/system/bulkheadd.service.d/
systemctl daemon-reload
check "hardened: the service starts" systemctl start bulkheadd
check "hardened: it serves" within 5 echoes
check "hardened: its exposure is at most 3.3 ($(score bulkheadd.service))" at_most "$(score bulkheadd.service)" 3.3
systemctl stop bulkheadd

check "unprivileged: the socket starts" systemctl start bulkheadd-unprivileged.socket
check "unprivileged: the service starts" systemctl start bulkheadd-unprivileged.service
check "unprivileged: it serves" within 5 echoes
check "unprivileged: it is not root" [ "$(ps -o uid= -p "$(systemctl show -P MainPID bulkheadd-unprivileged)" | tr -d ' ')" != 0 ]
check "unprivileged: its exposure is at most 1.2 ($(score bulkheadd-unprivileged.service))" at_most "$(score bulkheadd-unprivileged.service)" 1.2
check "unprivileged: bulkheadctl reaches it" bash -c 'bulkheadctl -s /run/bulkhead-unprivileged/control.sock status | grep -q running'
systemctl stop bulkheadd-unprivileged.socket bulkheadd-unprivileged.service
[ $failed = 0 ] || journalctl --no-pager -u 'bulkheadd*' | tail -n 80
exit $failed
