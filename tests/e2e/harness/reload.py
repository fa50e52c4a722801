"""For tests that change a daemon's file and have it read again."""

import json
import os

from .control import ControlledTestCase
from .daemon import listener
from .processes import process


def steady(name="echo", **keys):
    """A listener with an explicit intensity: the default would follow the number of workers."""
    return listener(name, **{"max_restarts": 1000, "max_seconds": 60, **keys})


def sleeper(name, seconds=1000, **keys):
    return {"id": name, "type": "process", "argv": ["/bin/sleep", str(seconds)], "ready": "exec", **keys}


class ReloadTestCase(ControlledTestCase):
    def rewrite(self, daemon, *children, **top):
        """Rewrites the daemon's file with other children (or text)."""
        with open(daemon.config_path) as file:
            config = json.load(file)
        if children:
            config["supervisor"]["children"] = list(children)
        for key, value in top.items():
            config[key] = {**config.get(key, {}), **value} if isinstance(value, dict) else value
        new = daemon.config_path + ".new"
        with open(new, "w") as file:
            json.dump(config, file)
        os.rename(new, daemon.config_path)

    def reload(self, daemon):
        status, output, errors = daemon.control.run("--json", "reload", "--wait")
        self.assertEqual((status, errors), (0, ""), output)
        return json.loads(output)

    def refused(self, daemon):
        """The reasons."""
        status, output, errors = daemon.control.run("--json", "reload", "--wait")
        self.assertEqual(status, 2, output)
        last = daemon.control.value("status")["last_reload"]
        self.assertFalse(last["ok"])
        self.assertTrue(last["errors"])
        # A problem that can no longer be undone is reported by reload_done.
        daemon.events.wait(lambda events: [one for one in events if one["event"] in ("reload_rejected", "reload_done")
                                           and one.get("errors") == last["errors"]], what="an event with the reasons")
        return "\n".join(last["errors"])

    def changes(self, answer):
        return [(one["kind"], one["path"], *one["keys"]) for one in answer["changes"]]

    def title(self, daemon, path):
        """The command line of the process there."""
        return process(daemon.control.node(path)["pid"]).title
