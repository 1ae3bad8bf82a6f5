"""`make dist`: a tarball whose program runs on a Debian that has nothing but what it must have."""
import hashlib
import re
import tarfile
import unittest

import bare
import products

UNPACK = "tar -xzf schedctl-*.tar.gz; cd schedctl-*/\n"
HEARTBEAT = "alerts test heartbeat --set heartbeat_url=https://127.0.0.1:9/"


def readme():
    with tarfile.open(products.tarball()) as archive:
        name = next(n for n in archive.getnames() if re.fullmatch(r"schedctl-[^/]+/README", n))
        return archive.extractfile(name).read().decode()


def on_a_bare_debian(script, packages=()):
    return bare.run(UNPACK + script, packages, [products.tarball()])


class Dist(unittest.TestCase):
    def test_the_program_needs_nothing_but_libc(self):
        said = on_a_bare_debian("""
            cp -r bin share /usr/local/
            cd /
            schedctl --version
            schedctl start
            schedctl add hello --manual --shell 'echo it runs'
            schedctl trigger hello --wait
            schedctl logs hello
            schedctl restart
            schedctl status
            schedctl next --cron '30 2 * * *' --timezone UTC -n 1
            schedctl runs
            schedctl stop""")
        self.assertIn("\nit runs\n", said)
        self.assertRegex(said, r"running \(pid \d+")
        self.assertRegex(said, r"#1 +hello +manual +succeeded")
        self.assertRegex(said, r"stopped \(pid \d+\)")

    def test_it_says_what_is_missing_to_reach_others(self):
        said = on_a_bare_debian(f"bin/schedctl start; ! bin/schedctl {HEARTBEAT}; bin/schedctl stop")
        self.assertIn("libcurl.so.4", said)

    def test_with_the_packages_that_its_readme_names_it_reaches_others(self):
        packages = re.search(r"(?m)^ +apt-get install (.*)$", readme())[1].split()
        said = on_a_bare_debian(
            f"bin/schedctl start; ! bin/schedctl {HEARTBEAT}; bin/schedctl stop;"
            " bin/schedctl next --cron '30 2 * * *' --timezone Europe/Berlin -n 1", packages)
        self.assertRegex(said, "(?i)connect")
        self.assertNotIn("libcurl.so", said)

    def test_the_same_tree_gives_the_same_bytes(self):
        def digest():
            return hashlib.sha256(products.tarball().read_bytes()).hexdigest()
        first = digest()
        self.assertEqual(products.made_by("dist"), products.tarball())
        self.assertEqual(digest(), first)
        with tarfile.open(products.tarball()) as archive:
            members = archive.getmembers()
        self.assertEqual({(m.uid, m.gid, m.mtime) for m in members}, {(0, 0, members[0].mtime)})
        self.assertEqual([m.name for m in members], sorted(m.name for m in members))
        self.assertFalse([m.name for m in members if m.mode & 0o022])
