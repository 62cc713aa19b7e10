#!/usr/bin/env python3
"""Makes the tiny archive that tests/mirror.rs serves. Run it only to change the archive: the signing key is thrown away,
so everything is made anew. Needs gpg and clang."""

import hashlib, io, lzma, os, pathlib, shutil, struct, subprocess, tarfile, tempfile

HERE = pathlib.Path(__file__).parent
ARCHIVE = HERE / "archive"


def kernel(magic_at=0x38, magic=b"RSC\x05"):
    image = bytearray(6000)
    image[:2] = b"MZ"
    image[magic_at : magic_at + len(magic)] = magic
    banner = b"Linux version 7.2.1+test-riscv64 (made up)"
    image[4096 : 4096 + len(banner)] = banner
    return bytes(image)


def zboot(image):
    payload = lzma.compress(image)
    head = bytearray(64)
    head[:2], head[4:8] = b"MZ", b"zimg"
    head[8:16] = struct.pack("<II", 64, len(payload))
    head[24:30] = b"xzkern"
    return bytes(head) + payload


def module(*info):
    with tempfile.TemporaryDirectory() as tmp:
        source = pathlib.Path(tmp, "m.c")
        source.write_text("".join(
            f'__attribute__((section(".modinfo"), used, aligned(1))) static const char i{n}[] = "{text}";\n'
            for n, text in enumerate(info)))
        subprocess.run(["clang", "--target=riscv64-linux-gnu", "-c", "-o", f"{tmp}/m.ko", source], check=True)
        return lzma.compress(pathlib.Path(tmp, "m.ko").read_bytes())


def tar(files):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for path, data in files.items():
            member = tarfile.TarInfo(path)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return out.getvalue()


def deb(files):
    out = b"!<arch>\n"
    for name, data in {"debian-binary": b"2.0\n", "control.tar": b"", "data.tar.xz": lzma.compress(tar(files))}.items():
        out += f"{name:<16}{0:<12}{0:<6}{0:<6}{'100644':<8}{len(data):<10}`\n".encode() + data + b"\n" * (len(data) % 2)
    return out


def packages(arch, debs):
    text = "Package: unrelated\nVersion: 1\nFilename: pool/u.deb\n\n"
    for name, (version, data) in debs.items():
        filename = f"pool/{name}_{version}_{arch}.deb"
        path = ARCHIVE / filename
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        text += (f"Package: {name}\nVersion: {version}\nArchitecture: {arch}\nInstalled-Size: 40\nFilename: {filename}\n"
                 f"Size: {len(data)}\nSHA256: {hashlib.sha256(data).hexdigest()}\nDescription: made up\n\n")
    return lzma.compress(text.encode())


def gpg(home):
    # A signature must not lie in the future of a machine whose clock is behind.
    return ["gpg", "--homedir", home, "--batch", "--faked-system-time", "20250101T000000!"]


def suite(home, name, suite, codename, date, lists, lost=()):
    body = ""
    for arch, data in lists.items():
        path = ARCHIVE / f"dists/{name}/main/binary-{arch}/Packages.xz"
        sha256 = hashlib.sha256(data + (b"lost" if arch in lost else b"")).hexdigest()
        if arch not in lost:
            path.parent.mkdir(parents=True)
            path.write_bytes(data)
        body += f" {sha256} {len(data)} main/binary-{arch}/Packages.xz\n"
    text = (f"Origin: Debian\nSuite: {suite}\nCodename: {codename}\nDate: {date}\nAcquire-By-Hash: yes\n"
            f"Architectures: {' '.join(lists)}\nComponents: main\nSHA256:\n{body}")
    path = ARCHIVE / f"dists/{name}/InRelease"
    path.parent.mkdir(parents=True, exist_ok=True)
    signed = subprocess.run([*gpg(home), "--clearsign"], input=text.encode(), capture_output=True, check=True)
    path.write_bytes(signed.stdout)


def main():
    shutil.rmtree(ARCHIVE, ignore_errors=True)
    r, old = "7.2.1+test-riscv64", "6.1.0-1-riscv64"
    new_dir, old_dir = f"./usr/lib/modules/{r}", f"./lib/modules/{old}"
    order = b"kernel/net/netfilter/nf_conntrack.ko\nkernel/net/ipv4/nf_defrag_ipv4.ko\nkernel/lib/libcrc32c.ko\nkernel/crypto/crc32c_generic.ko\n"
    riscv64 = {
        f"linux-binary-{r}": ("7.2.1-1", deb({f"{new_dir}/vmlinuz": zboot(kernel())})),
        f"linux-base-{r}": ("7.2.1-1", deb({
            f"{new_dir}/config": b"CONFIG_VIRTIO_CONSOLE=y\nCONFIG_VIRTIO_PCI=y\nCONFIG_DEBUG_INFO_BTF=y\nCONFIG_NF_CONNTRACK=m\n",
            f"{new_dir}/modules.builtin": b"kernel/drivers/char/virtio_console.ko\n", f"{new_dir}/modules.order": order})),
        f"linux-modules-{r}": ("7.2.1-1", deb({
            f"{new_dir}/kernel/crypto/crc32c_generic.ko.xz": module("depends="),
            f"{new_dir}/kernel/lib/libcrc32c.ko.xz": module("depends=", "softdep=pre: crc32c"),
            f"{new_dir}/kernel/net/ipv4/nf_defrag_ipv4.ko.xz": module("depends="),
            f"{new_dir}/kernel/net/netfilter/nf_conntrack.ko.xz": module("license=GPL", "depends=nf_defrag_ipv4,libcrc32c,virtio_console")})),
        f"linux-image-{r}": ("7.2.1-1", deb({})),
        "linux-binary-7.2.1+test-rt-riscv64": ("7.2.1-1", deb({})),
        f"linux-image-{old}": ("6.1.9-1", deb({
            f"./boot/vmlinux-{old}": kernel(), f"./boot/config-{old}": b"CONFIG_VIRTIO_CONSOLE=m\nCONFIG_VIRTIO_PCI=m\n",
            f"{old_dir}/modules.builtin": b"", f"{old_dir}/modules.order": b"",
            f"{old_dir}/kernel/drivers/char/virtio_console.ko.xz": module("depends=virtio"),
            f"{old_dir}/kernel/drivers/virtio/virtio.ko.xz": module("depends="),
            f"{old_dir}/kernel/drivers/virtio/virtio_pci.ko.xz": module("depends=virtio")})),
    }
    evil = {"linux-image-6.1.0-1-arm64": ("6.1.9-1", deb({"./boot/vmlinuz-6.1.0-1-arm64": kernel(), "../../evil": b"x"}))}
    name = "6.1.0-1-amd64"
    wrong = {f"linux-image-{name}": ("6.1.9-1", deb({
        f"./boot/vmlinuz-{name}": kernel(), f"./boot/config-{name}": b"", f"./lib/modules/{name}/modules.builtin": b"",
        f"./lib/modules/{name}/modules.order": b""}))}
    lists = {"riscv64": packages("riscv64", riscv64), "arm64": packages("arm64", evil), "amd64": packages("amd64", wrong),
             "armhf": packages("armhf", {})}
    with tempfile.TemporaryDirectory() as home:
        os.chmod(home, 0o700)
        subprocess.run([*gpg(home), "--passphrase", "", "--quick-generate-key", "kfunc tests", "ed25519", "sign", "never"], check=True)
        (HERE / "keyring.gpg").write_bytes(subprocess.run([*gpg(home), "--export"], capture_output=True, check=True).stdout)
        suite(home, "testing", "testing", "forky", "Fri, 30 Oct 2026 08:08:01 UTC", lists)
        only = {"riscv64": lists["riscv64"]}
        suite(home, "stable", "stable", "trixie", "Sat, 12 Sep 2026 07:55:41 UTC", only)
        suite(home, "trixie", "stable", "trixie", "Sat, 21 Nov 2026 09:15:44 UTC", only, lost=["riscv64"])


main()
