"""A small Debian of the packages that this machine has: what containers and a machine of systemd's
begin with, where nothing may come from a network.

Files, their owners and dpkg's records are the machine's; nothing that it was told itself is in it.
apt has no source of packages there, so it installs what needs nothing more.
"""
import os
import pathlib
import re
import shutil
import subprocess

_PATH = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
_LEFT_OUT = re.compile(r"/usr/share/(doc|man|locale|info|zoneinfo|bash-completion|i18n|perl)/"
                       r"|/usr/lib/(udev/hwdb|modules|firmware)|/usr/include/")
_RECORDS = pathlib.Path("/var/lib/dpkg")
_DEPENDS = ("Depends", "Pre-Depends")


class Missing(Exception):
    """What the machine doesn't have."""


def _run(*command, **options):
    done = subprocess.run(command, capture_output=True, text=True, check=False,
                          env={**os.environ, "PATH": _PATH}, **options)
    if done.returncode != 0:
        raise AssertionError("%s: %s" % (" ".join(map(str, command)), done.stderr[-2000:]))
    return done.stdout


class _Installed:
    """What dpkg says is installed here."""

    def __init__(self):
        self.records, self.providers = {}, {}
        for text in (_RECORDS / "status").read_text().split("\n\n"):
            fields = dict(re.findall(r"(?m)^([\w-]+): (.*)$", text))
            if fields.get("Status") != "install ok installed":
                continue
            name = fields["Package"]
            self.records[name] = (text, fields)
            for provided in re.findall(r"[\w.+-]+(?= \(|,|$)", fields.get("Provides", "")):
                self.providers.setdefault(provided, name)

    def essential(self):
        return [name for name, (_, fields) in self.records.items()
                if fields.get("Essential") == "yes"]

    def closure(self, wanted):
        """`wanted` and all that they depend on."""
        found, left = {}, list(wanted)
        while left:
            name = left.pop()
            name = name if name in self.records else self.providers.get(name)
            if name is None or name in found:
                continue
            found[name] = self.records[name]
            for field in _DEPENDS:
                for clause in found[name][1].get(field, "").split(","):
                    # The first alternative that is here.
                    names = re.findall(r"(?:^|\|)\s*([\w.+-]+)", clause)
                    left += [n for n in names if n in self.records or n in self.providers][:1]
        return found


def depends_of(deb):
    text = _run("dpkg-deb", "-f", deb, "Depends")
    return [clause.split()[0] for clause in text.split(",")]


def make(root, *packages):
    """Fills `root`, an empty folder. Raises Missing if one of the packages isn't installed."""
    installed = _Installed()
    for name in (*packages, "dpkg", "tar"):
        if name not in installed.records:
            raise Missing("the package %s" % name)
    found = installed.closure([*installed.essential(), *packages])
    for name in ("bin", "sbin", "lib", "lib64"):
        (root / "usr" / name).mkdir(parents=True, exist_ok=True)
        (root / name).symlink_to("usr/" + name)
    _copy(root, _files(found))
    _record(root, found)
    for name in ("passwd", "group"):
        shutil.copy(root / "usr/share/base-passwd" / (name + ".master"), root / "etc" / name)
    for name in ("dev", "proc", "sys", "run", "tmp"):
        (root / name).mkdir(exist_ok=True)
    (root / "etc/machine-id").write_text("")
    _run("ldconfig", "-r", str(root))


def _listed(name, fields):
    for file in (name, "%s:%s" % (name, fields["Architecture"])):
        if (_RECORDS / "info" / (file + ".list")).exists():
            return file
    raise Missing("dpkg's list of " + name)


def _files(found):
    names = set()
    for name, (_, fields) in found.items():
        text = (_RECORDS / "info" / (_listed(name, fields) + ".list")).read_text()
        names |= {path for path in text.splitlines() if path not in ("", "/.")}
    # As they are on the disk: /bin is a link there.
    names = {re.sub(r"^/(bin|sbin|lib|lib64)/", r"/usr/\1/", path) for path in names}
    names = {path for path in names if path not in ("/bin", "/sbin", "/lib", "/lib64")}
    # What chooses between alternatives isn't in a list.
    names |= {"/usr/bin/awk", "/etc/alternatives/awk", "/usr/bin/which", "/etc/alternatives/which"}
    return [path for path in sorted(names) if os.path.lexists(path) and not _LEFT_OUT.match(path)]


def _copy(root, names):
    text = "\0".join(name[1:] for name in names) + "\0"
    reader = subprocess.Popen(["tar", "-C", "/", "--null", "--no-recursion", "-T", "-", "-c"],
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    writer = subprocess.Popen(["tar", "-C", str(root), "--keep-directory-symlink", "-x", "-p"],
                              stdin=reader.stdout)
    reader.stdout.close()
    reader.stdin.write(text.encode())
    reader.stdin.close()
    if (reader.wait(), writer.wait()) != (0, 0):
        raise AssertionError("the packages' files could not be copied")


def _record(root, found):
    records = root / "var/lib/dpkg"
    for name in ("info", "updates", "triggers", "alternatives"):
        (records / name).mkdir(parents=True, exist_ok=True)
    (records / "status").write_text("\n\n".join(text.strip() for text, _ in found.values()) + "\n")
    (records / "available").touch()
    shutil.copy(_RECORDS / "info/format", records / "info")  # Its files have architectures in their names.
    for name, (_, fields) in found.items():
        for file in (_RECORDS / "info").glob(_listed(name, fields) + ".*"):
            shutil.copy(file, records / "info")
