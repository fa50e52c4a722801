// Good files: one with only the required keys, one with every option.
#pragma once

#include <string_view>

namespace bulkhead::config {

inline constexpr std::string_view kSmallest = R"({ "supervisor": { "children": [
  { "id": "echo", "type": "listener", "listen": "127.0.0.1:4040", "handler": "echo" } ] } })";

inline constexpr std::string_view kEverything = R"({
  "$schema": "bulkhead.schema.json",
  "daemon": {"drain_timeout": "infinity", "pid_file": "/run/bulkhead.pid", "lame_duck": "3s", "close_spread": "2s",
             "max_connections": 5000, "reserved_connections": 4, "uid_pool": "none"},
  "control": {"socket": "/run/x/control.sock", "mode": "660", "group": "staff"},
  "log": {"target": "/var/log/bulkhead.log", "format": "json", "level": "warning", "addresses": "prefix", "connections": ["start", "end"],
          "facility": "local3", "identity": "front"},
  "supervisor": {
    "on_give_up": "stop",
    "strategy": "rest_for_one", "max_restarts": 0, "max_seconds": 1.5, "auto_shutdown": "all_significant",
    "defaults": {"process": {"nice": 1}},
    "children": [
      {"id": "web", "type": "listener", "restart": "transient", "significant": true, "shutdown": "infinity",
       "start_timeout": "infinity", "enabled": true,
       "restart_delay": {"min": "0s", "max": "1h", "factor": 1.5, "jitter": 0, "reset_after": "2m"},
       "listen": ["4040", "127.0.0.2:4041", "[::1]:0", "unix:run/x.sock"], "backlog": 1,
       "ipv6only": true, "mode": "600", "owner": "alice", "nodelay": false,
       "keepalive": {"idle": "1500ms", "interval": "32767s", "probes": 1}, "freebind": true, "device": "eth0",
       "rcvbuf": "64K", "sndbuf": 4096, "workers": 3, "max_unavailable": "25%", "max_accepts": 1000,
       "max_accepts_jitter": 10, "max_age": "12h", "max_crashes": {"count": 10, "per": "1m"},
       "max_restarts": 1000000, "max_seconds": 60, "max_connections": 1000000, "reserved": true,
       "max_connections_per_source": 10, "source_prefix": {"v4": 24, "v6": 56},
       "max_rate_per_source": {"count": 5, "per": "1m"},
       "penalties": {"mode": "log", "crash": "2m", "timeout": "0s", "no_input": "3s", "exit": {"0": "1s", "255": "2s"},
         "min": "1s", "max": "1h", "max_sources4": 1, "max_sources6": 65536, "overflow": "deny-all",
         "exempt": ["127.0.0.0/8", "::1"]},
       "max_connection_rate": {"count": 100, "per": "2s"}, "on_full": "message", "max_lifetime": "90s", "normal_exit": [255],
       "first_byte_timeout": "infinity", "on_client_gone": "leave", "count_bytes": false, "stop_signal": "INT",
       "rules": [{"from": ["192.0.2.0/24", "2001:db8::/32"], "action": "allow", "max_connections": 7,
                  "max_rate_per_source": {"count": 3, "per": "1m"}, "max_connection_rate": "unlimited",
                  "max_lifetime": "infinity", "idle_timeout": "3s", "first_byte_timeout": "4s",
                  "env": {"ROLE": "guest"}, "handler": {"exec": ["/bin/cat"], "style": "ucspi"}},
                 {"from": "198.51.100.0/24", "action": "deny"}], "banner": "hello\\r\\n",
       "banner_fail": "busy\\r\\n", "allow": ["10.0.0.0/8", "::1", "::ffff:192.0.2.0/120"], "deny": "10.1.0.0/16",
       "handshake_timeout": "1h", "proxy_protocol": "auto", "proxy_allow_from": ["192.0.2.1", "::1"],
       "proxy_timeout": "250ms",
       "handler": {"exec": ["/bin/cat", "-u"], "arg0": "-cat", "style": "inetd", "drain_fd": true}, "user": "alice", "group": "www-data",
       "groups": ["staff", "7"], "umask": "027", "chdir": "/tmp", "chroot": "/", "nice": -5, "ioprio": "best_effort:6",
       "oom_score_adj": -100, "rlimits": {"nofile": 64, "as": "512M", "cpu": "1500ms", "data": 1048576,
       "stack": "unlimited", "core": "unlimited", "fsize": "1T", "nproc": 9},
       "env": {"A": "x"}, "env_file": "/etc/os-release", "pass_env": ["HOME"], "unset_env": ["TCPREMOTEIP", "LANG"], "stderr": "null",
       "log": {"target": "/tmp/web.log", "format": "text", "level": "debug"}, "log_addresses": "none",
       "log_rate_limit": "unlimited", "kill_mode": "process", "sandbox": "none",
       "state_directory": "web", "runtime_directory": ["web", "shared/web"], "logs_directory": [],
       "credentials": {"tls.key": "/etc/os-release"}},
      {"id": "app", "type": "process", "restart": "temporary", "significant": false, "shutdown": "brutal_kill",
       "start_timeout": "250ms", "restart_delay": "none", "argv": ["/bin/sh", "-c", "exit 0"], "arg0": "-sh", "start": "manual",
       "start_delay": "3s", "oneshot": false, "pre_start": ["/bin/true"], "post_stop": ["/bin/echo", "it"], "ready": "sd_notify",
       "watchdog": "30s", "normal_exit": [0, 1], "permanent_failure_exit": [78, 100], "stop_signal": "USR1",
       "reload_signal": "USR2", "log": {"level": "error"}, "log_rate_limit": 50, "stdout": "/tmp/app.log", "stderr": "inherit", "chdir": "/tmp", "env": {"A": "1", "B": ""}, "sandbox": {"preset": "basic", "new_privileges": false, "keep_capabilities": ["CAP_NET_RAW", "CAP_KILL"],
       "scope": "listener", "system_calls": {"allow": ["ptrace"], "deny": ["socket", "io_uring_setup"], "then": "kill"},
       "paths": {"read": ["/etc"], "write": ["/tmp", "/srv"], "execute": ["/usr"], "else": "read"},
       "network": {"connect": [53, 443], "bind": [0]}, "private": ["tmp", "devices"], "write_execute": false}, "pass_env": [], "user": "1000", "group": "2000"},
      {"id": "inner", "type": "supervisor", "restart": "permanent", "shutdown": "1m", "strategy": "one_for_all",
       "max_restarts": 7, "max_seconds": 9, "auto_shutdown": "any_significant", "children": [
         {"id": "web", "type": "listener", "listen": "unix:/run/y.sock", "handler": "discard", "idle_timeout": "infinity"}]},
      {"id": "own", "type": "listener", "listen": "unix:/run/z.sock", "user": {"pool": "700000-765535"},
       "handler": {"module": "/bin/cat", "options": {"a": [1, null, {"b": "\u00e9\n"}], "c": {}}}}
    ]
  }
})";

}  // namespace bulkhead::config
