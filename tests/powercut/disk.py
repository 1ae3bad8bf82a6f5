"""What a disk may hold when the power fails: replays a log of record.c up to a moment, and of what
was not synced by then keeps what chance wants.

The model is harder than most file systems. The content of a file is certain up to its last fsync;
of each later write every sector may have come to the disk or not, in any order. Names (made,
renamed, removed) are certain up to the last fsync of their directory; a rename happens whole or not
at all."""
import pathlib
import posixpath
import struct

HEAD = struct.Struct("=4s c 3x Q I I")
MARK = b"\0PC1"


class Record:
    __slots__ = ("kind", "offset", "path", "data", "end")

    def __init__(self, kind, offset, path, data, end):
        self.kind, self.offset, self.path, self.data, self.end = kind, offset, path, data, end


def read_log(path, begin=0):
    """The records in their order. A line of text between them (what a job said) is a record of kind
    `J`."""
    log = pathlib.Path(path).read_bytes()
    records, at = [], begin
    while at < len(log):
        if log[at:at + 4] == MARK:
            _, kind, offset, path_bytes, data_bytes = HEAD.unpack_from(log, at)
            at += HEAD.size
            name = log[at:at + path_bytes].decode()
            at += path_bytes
            data = log[at:at + data_bytes]
            at += data_bytes
            records.append(Record(kind.decode(), offset, name, data, at))
        else:
            line = log.index(b"\n", at) + 1
            records.append(Record("J", 0, "", log[at:line - 1], line))
            at = line
    return records


class File:
    def __init__(self):
        self.content = b""  # certain
        self.pending = []   # (offset, data), or (size, None) for a truncation
        self.size = 0       # as the processes see it

    def sync(self):
        content = bytearray(self.content)
        for change in self.pending:
            apply(content, *change)
        self.content, self.pending = bytes(content), []

    def write(self, offset, data):
        self.pending.append((offset, data))
        self.size = max(self.size, offset + len(data))

    def truncate(self, size):
        self.pending.append((size, None))
        self.size = size

    def after_power_cut(self, chance):
        content = bytearray(self.content)
        how = chance.choice(["none", "all", "first", "some", "some"])
        kept = {"none": 0, "first": chance.randint(0, len(self.pending))}.get(
            how, len(self.pending))
        sector = chance.choice([512, 4096])
        for offset, data in self.pending[:kept]:
            if data is None or how == "all":
                if how != "some" or chance.random() < 0.5:
                    apply(content, offset, data)
            else:
                for begin, end in sectors(offset, len(data), sector):
                    if how == "first" or chance.random() < 0.5:
                        apply(content, begin, data[begin - offset:end - offset])
        if how == "first" and kept < len(self.pending) and self.pending[kept][1]:
            offset, data = self.pending[kept]  # torn
            apply(content, offset, data[:chance.randint(0, len(data) // sector) * sector])
        return bytes(content)


def apply(content, offset, data):
    if data is None:
        if offset < len(content):
            del content[offset:]
        else:
            content.extend(bytes(offset - len(content)))
        return
    if not data:
        return
    if offset > len(content):
        content.extend(bytes(offset - len(content)))
    content[offset:offset + len(data)] = data


def sectors(offset, size, sector):
    end = offset + size
    while offset < end:
        border = min(end, (offset // sector + 1) * sector)
        yield offset, border
        offset = border


class Directory:
    """Names that are certain are in Disk.names; these are on their way there."""

    def __init__(self):
        self.pending = []  # {name: object}: that name is that object; None: there is none


class Disk:
    """`honest_until`: from this record on, syncs are lies."""

    def __init__(self):
        self.names = {"": Directory()}  # certain
        self.seen = dict(self.names)    # as the processes see them

    def replay(self, records, honest_until=None):
        for number, record in enumerate(records):
            honest = honest_until is None or number < honest_until
            self.step(record, honest)
        return self

    def step(self, record, honest):
        if record.kind in "WAT":
            file = self.seen.get(record.path)
            if file is None:
                file = self.make(record.path, File())
            if record.kind == "T":
                file.truncate(record.offset)
            else:
                file.write(file.size if record.kind == "A" else record.offset, record.data)
        elif record.kind == "C":
            if record.path not in self.seen:
                self.make(record.path, File())
        elif record.kind == "M":
            self.make(record.path, Directory())
        elif record.kind == "U":
            self.set_names({record.path: None})
        elif record.kind == "R":
            moved = self.seen.get(record.path)
            self.set_names({record.data.decode(): moved, record.path: None})
        elif record.kind == "L":
            self.set_names({record.data.decode(): self.seen.get(record.path)})
        elif record.kind == "S" and honest:
            what = self.seen.get(record.path)
            if isinstance(what, File):
                what.sync()
            elif what is not None:
                for change in what.pending:
                    put(self.names, change)
                what.pending = []

    def make(self, path, what):
        self.set_names({path: what})
        return what

    def set_names(self, change):
        """Of one directory: nothing here is moved to another."""
        put(self.seen, change)
        parent = self.seen.get(posixpath.dirname(next(iter(change))))
        if parent is not None:
            parent.pending.append(change)

    def after_power_cut(self, root, chance):
        """Writes below `root`, which is empty, what the disk holds after the power came back."""
        names = dict(self.names)
        # Chosen in the order in which names were made, so that a seed means the same each time.
        for directory in [d for d in self.seen.values() if isinstance(d, Directory)]:
            ordered = chance.random() < 0.5
            kept = chance.randint(0, len(directory.pending))
            for number, change in enumerate(directory.pending):
                if number < kept if ordered else chance.random() < 0.5:
                    put(names, change)
        for path in sorted(names):
            target = pathlib.Path(root) / path
            if not target.parent.is_dir():
                continue  # the directory was lost, and what was in it
            if isinstance(names[path], Directory):
                target.mkdir(mode=0o700, exist_ok=True)
            else:
                target.write_bytes(names[path].after_power_cut(chance))
                target.chmod(0o600)


def put(names, change):
    for path, what in change.items():
        if what is None:
            names.pop(path, None)
        else:
            names[path] = what
