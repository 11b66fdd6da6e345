# SPDX-License-Identifier: GPL-2.0-only
"""Debian packages of other suites and architectures, without touching the system's apt or dpkg.

The mirror is the one in the machine's own apt configuration. Each suite and architecture has a
private apt folder (lists, cache, an empty dpkg status), so that dependencies resolve within it
alone; signatures are checked as apt does. Versions are looked up, never written down.
"""
import pathlib
import re
import shutil
import subprocess
import time

LISTS_FRESH_S = 24 * 3600
OS_RELEASE = pathlib.Path("/etc/os-release")
KEYRING = pathlib.Path("/usr/share/keyrings/debian-archive-keyring.gpg")


class Missing(Exception):
    """What can't be had here, and why: a reason to skip."""


def command(argv, timeout=600, **options):
    """Run a program of the host. @return its standard output"""
    try:
        done = subprocess.run([str(a) for a in argv], capture_output=True, text=True,
                              timeout=timeout, check=False, **options)
    except FileNotFoundError:
        raise Missing(f"{argv[0]} is not installed") from None
    except subprocess.TimeoutExpired:
        raise Missing(f"{argv[0]} took more than {timeout} s") from None
    if done.returncode:
        last = (done.stderr or done.stdout).strip().splitlines()[-1:] or ["no word why"]
        raise Missing(f"{argv[0]}: {last[0]}")
    return done.stdout


def mirrors():
    """Sites of the main archive and of security updates in the machine's apt configuration."""
    text = command(["apt-get", "indextargets", "--format", "$(SITE) $(ORIGIN) $(RELEASE)",
                    "Created-By: Packages"])
    sites = [line.split()[::2] for line in text.splitlines() if line.split()[1:2] == ["Debian"]]
    if not sites:  # no lists yet
        text = command(["apt-get", "update", "--print-uris"])
        sites = re.findall(r"'(\S+)/dists/([^'/]+)(?:/updates)?/InRelease'", text)
    codename = re.search(r'^VERSION_CODENAME="?(\w+)', OS_RELEASE.read_text(), re.M)
    name = codename.group(1) if codename else "stable"
    by_suite = {suite: site for site, suite in reversed(sites)}
    if name not in by_suite:
        raise Missing("apt is not configured for a Debian mirror")
    return by_suite[name], by_suite.get(f"{name}-security")


def unpack(deb, into):
    """A package's files into a folder, where /bin, /lib and such may be symbolic links."""
    with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", deb], stdout=subprocess.PIPE) as tar:
        command(["tar", "-x", "--keep-directory-symlink", "-C", into], stdin=tar.stdout)
    if tar.returncode:
        raise Missing(f"{deb.name}: failed to unpack")


def write_changed(path, text):
    """Not under the hands of another that reads the same."""
    if not path.exists() or path.read_text() != text:
        path.write_text(text)


class Suite:
    """One suite of one architecture, in folder. Several suites are joined with commas: the
    newest version of a package among them counts."""

    def __init__(self, folder, suites, arch):
        self.folder, self.suites, self.arch = pathlib.Path(folder), suites.split(","), arch
        self.conf = self.folder / "apt.conf"

    def _configure(self):
        main, security = mirrors()
        for name in ("state/lists/partial", "cache/archives/partial", "preferences"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        (self.folder / "status").touch()
        option = f"[signed-by={KEYRING}] " if KEYRING.exists() else ""
        write_changed(self.folder / "sources.list", "".join(
            f"deb {option}{security if name.endswith('-security') else main} {name} main\n"
            for name in self.suites if security or not name.endswith("-security")))
        write_changed(self.conf, f'''Dir::State "{self.folder}/state";
Dir::State::status "{self.folder}/status";
Dir::Cache "{self.folder}/cache";
Dir::Etc::sourcelist "{self.folder}/sources.list";
Dir::Etc::sourceparts "-";
Dir::Etc::preferences "-";
Dir::Etc::preferencesparts "{self.folder}/preferences";
APT::Architecture "{self.arch}";
#clear APT::Architectures;
APT::Architectures "{self.arch}";
APT::Sandbox::User "root";
APT::Install-Recommends "false";
Acquire::Languages "none";
Acquire::IndexTargets::deb::DEP-11::DefaultEnabled "false";
Acquire::Retries "2";
Acquire::http::Timeout "30";
''')

    def apt(self, tool, *words):
        return command([f"apt-{tool}", "-q", "-c", self.conf, *words])

    def refresh(self):
        """Fetch the lists where they are older than a day."""
        self.folder = self.folder.absolute()
        self.conf = self.folder / "apt.conf"
        stamp = self.folder / "stamp"
        self._configure()  # with this folder's name, which may have been moved here
        if stamp.exists() and time.time() - stamp.stat().st_mtime < LISTS_FRESH_S:
            return
        try:
            self.apt("get", "update")
        except Missing as why:
            # one suite of several may be gone from the mirror
            if not list((self.folder / "state/lists").glob("*_Packages*")):
                raise Missing(f"{','.join(self.suites)} ({self.arch}): {why}") from None
        stamp.touch()

    def fields(self, package):
        """Fields of the newest version of package, as text by name."""
        text = self.apt("cache", "show", "--no-all-versions", package)
        return dict(re.findall(r"^([\w-]+): (.*)$", text, re.M))

    def closure(self, package, pattern):
        """Package and what it depends on, as far as names match pattern: names with versions."""
        found, todo = {}, [package]
        while todo:
            name = todo.pop()
            fields = self.fields(name)
            found[name] = fields["Version"]
            for one in re.split(r"[,|]", fields.get("Depends", "")):
                dependency = one.split()[0] if one.split() else ""
                if re.search(pattern, dependency) and dependency not in found:
                    todo.append(dependency)
        return found

    def fetch(self, names, into):
        """Download these packages and unpack them into a folder."""
        for name in names:
            for old in self.folder.glob("*.deb"):
                old.unlink()
            command(["apt-get", "-q", "-c", self.conf, "download", name], cwd=self.folder)
            for deb in self.folder.glob("*.deb"):
                unpack(deb, into)
                deb.unlink()

    def install(self, names, into):
        """Download these packages with all they depend on and unpack them into a folder."""
        self.apt("get", "install", "-y", "--download-only", *names)
        for deb in sorted((self.folder / "cache/archives").glob("*.deb")):
            unpack(deb, into)
        shutil.rmtree(self.folder / "cache/archives")
        (self.folder / "cache/archives/partial").mkdir(parents=True)
