// SPDX-License-Identifier: MIT OR Apache-2.0
/*
 * The agent: PID 1 of a guest. It opens the channel (a virtio-serial port, or a UART where the kernel cannot have
 * virtio), says hello, and then carries out batches
 * of memory writes, system calls and memory reads for the host. It knows nothing of BPF: all logic is on the host
 * (harness/src/guest/wire.rs speaks the other side, harness/src/sys.rs explains the model).
 *
 * Freestanding: no libc, no floating point, no vector registers, one thread. start-ARCH.S aligns the stack, calls
 * agent_main() and provides agent_syscall(). Everything on the wire is in the guest's own byte order; the host knows it.
 *
 * Wire format, all fields aligned to 8 bytes:
 *	hello    { u32 magic, u32 version, u32 word_bits, u32 boot_modules, u64 arena_base, u64 arena_len }
 *	request  { u32 magic, u32 seq, u32 ops, u32 bytes } then `bytes` bytes of operations:
 *	         { u32 POKE, u32 0, u64 at, u64 len, bytes padded to 8 } | { u32 ZERO, u32 0, u64 at, u64 len }
 *	         { u32 CALL, u32 0, u64 nr, u64 args[6] }                | { u32 PEEK, u32 0, u64 at, u64 len }
 *	reply    { u32 magic, u32 seq, u32 status, u32 bytes } then, in order, an s64 for each CALL and
 *	         the bytes (padded to 8) for each PEEK. status 0 is good, anything else says what was malformed.
 */

typedef unsigned char u8;
typedef unsigned int u32;
typedef int s32;
typedef unsigned long long u64;
typedef long long s64;
typedef unsigned long uptr;

enum { MAGIC_HELLO = 0x4b464831, MAGIC_REQUEST = 0x4b465131, MAGIC_REPLY = 0x4b465231, VERSION = 1 };
enum { OP_POKE = 1, OP_ZERO = 2, OP_CALL = 3, OP_PEEK = 4 };
enum { ARENA_LEN = 8 << 20, WIRE_LEN = 1 << 20 };
enum { ERR_MALFORMED = 1, ERR_REPLY_TOO_LONG = 2 };

/* -errno or the result, sign-extended from the guest's long. */
long agent_syscall(unsigned long nr, const unsigned long args[6]);
void agent_main(unsigned long *stack);

/* Numbers of the few calls the agent makes for itself. */
#if defined(__x86_64__)
enum { NR_READ = 0, NR_WRITE = 1, NR_OPENAT = 257, NR_CLOSE = 3, NR_MOUNT = 165, NR_MKDIRAT = 258,
       NR_FINIT_MODULE = 313, NR_REBOOT = 169, NR_NANOSLEEP = 35, NR_IOCTL = 16 };
#elif defined(__arm__) || defined(__i386__)
enum { NR_READ = 3, NR_WRITE = 4, NR_CLOSE = 6, NR_MOUNT = 21, NR_REBOOT = 88, NR_NANOSLEEP = 162, NR_IOCTL = 54,
#if defined(__arm__)
       NR_OPENAT = 322, NR_MKDIRAT = 323, NR_FINIT_MODULE = 379 };
#else
       NR_OPENAT = 295, NR_MKDIRAT = 296, NR_FINIT_MODULE = 350 };
#endif
#elif defined(__aarch64__) || defined(__riscv) || defined(__loongarch__)
/* include/uapi/asm-generic/unistd.h */
enum { NR_READ = 63, NR_WRITE = 64, NR_OPENAT = 56, NR_CLOSE = 57, NR_MOUNT = 40, NR_MKDIRAT = 34,
       NR_FINIT_MODULE = 273, NR_REBOOT = 142, NR_NANOSLEEP = 101, NR_IOCTL = 29 };
#elif defined(__s390x__)
enum { NR_READ = 3, NR_WRITE = 4, NR_OPENAT = 288, NR_CLOSE = 6, NR_MOUNT = 21, NR_MKDIRAT = 289,
       NR_FINIT_MODULE = 344, NR_REBOOT = 88, NR_NANOSLEEP = 162, NR_IOCTL = 54 };
#elif defined(__powerpc64__)
enum { NR_READ = 3, NR_WRITE = 4, NR_OPENAT = 286, NR_CLOSE = 6, NR_MOUNT = 21, NR_MKDIRAT = 287,
       NR_FINIT_MODULE = 353, NR_REBOOT = 88, NR_NANOSLEEP = 162, NR_IOCTL = 54 };
#elif defined(__mips64)
enum { NR_READ = 5000, NR_WRITE = 5001, NR_OPENAT = 5247, NR_CLOSE = 5003, NR_MOUNT = 5160, NR_MKDIRAT = 5248,
       NR_FINIT_MODULE = 5307, NR_REBOOT = 5164, NR_NANOSLEEP = 5034, NR_IOCTL = 5015 };
#else
#error "no system call numbers for this architecture: add them here"
#endif

enum { AT_FDCWD = -100, O_RDONLY = 0, O_RDWR = 2, O_NOCTTY = 0400, ENOENT = 2 };

static u8 arena[ARENA_LEN] __attribute__((aligned(4096)));
static u8 request[WIRE_LEN] __attribute__((aligned(16)));
static u8 reply[WIRE_LEN] __attribute__((aligned(16)));

/* The compiler may call these for structure copies and loops, even in freestanding code. */
void *memcpy(void *to, const void *from, __SIZE_TYPE__ n)
{
	u8 *t = to;
	const u8 *f = from;

	while (n >= 8 && !(((uptr)t | (uptr)f) & 7)) {
		*(u64 *)t = *(const u64 *)f;
		t += 8, f += 8, n -= 8;
	}
	while (n--)
		*t++ = *f++;
	return to;
}

void *memset(void *at, int c, __SIZE_TYPE__ n)
{
	u8 *p = at;

	while (n--) {
		*p++ = c;
		asm volatile("" ::: "memory"); /* keeps the loop from becoming a call to memset */
	}
	return at;
}

static long call(unsigned long nr, unsigned long a, unsigned long b, unsigned long c, unsigned long d, unsigned long e)
{
	const unsigned long args[6] = { a, b, c, d, e, 0 };

	return agent_syscall(nr, args);
}

static void pause_ms(unsigned long ms)
{
	unsigned long ts[2] = { 0, ms * 1000000 };

	call(NR_NANOSLEEP, (unsigned long)ts, 0, 0, 0, 0);
}

static void say(const char *text)
{
	unsigned long n = 0;

	while (text[n])
		n++;
	call(NR_WRITE, 1, (unsigned long)text, n, 0, 0);
}

/* The console line is what the host shows when the channel never opens; then power off (or, where that does nothing,
 * let PID 1 end: the kernel panics and the host sees that). */
static void fail(const char *text)
{
	say("kfunc-agent: ");
	say(text);
	say("\n");
	call(NR_REBOOT, 0xfee1dead, 672274793, 0x4321fedc, 0, 0);
	call(NR_REBOOT, 0xfee1dead, 672274793, 0x01234567, 0, 0);
	for (;;)
		pause_ms(900);
}

static int exchange(int fd, u8 *at, unsigned long n, unsigned long nr)
{
	while (n) {
		long done = call(nr, fd, (unsigned long)at, n, 0, 0);

		/* 0: the host side is not connected yet. -EAGAIN, -EINTR: try again. */
		if (done == 0 || done == -11 || done == -4) {
			pause_ms(1);
			continue;
		}
		if (done < 0)
			return (int)done;
		at += done;
		n -= done;
	}
	return 0;
}

static long open_at(const char *path, int flags)
{
	return call(NR_OPENAT, AT_FDCWD, (unsigned long)path, flags, 0, 0);
}

/* /boot-modules/00, 01, … in this order: what the channel itself needs where the kernel has virtio as modules. */
static u32 load_boot_modules(void)
{
	char path[] = "/boot-modules/00";
	u32 n;

	for (n = 0; n < 100; n++) {
		long fd, err;

		path[14] = '0' + n / 10;
		path[15] = '0' + n % 10;
		fd = open_at(path, O_RDONLY);
		if (fd < 0)
			break;
		err = call(NR_FINIT_MODULE, fd, (unsigned long)"", 0, 0, 0);
		call(NR_CLOSE, fd, 0, 0, 0, 0);
		if (err < 0) {
			say("kfunc-agent: the kernel refused boot module ");
			say(path);
			say("\n");
		}
	}
	return n;
}

/* A UART as channel: raw, 8 bits, as fast as it goes. `path` comes from the kernel command line. */
static long open_serial(const char *path)
{
	/* struct termios of the generic ABI: iflag, oflag, cflag, lflag, then line and c_cc[19]. */
	struct { u32 iflag, oflag, cflag, lflag; u8 line, cc[19]; } raw = { 0 };
	long fd = open_at(path, O_RDWR | O_NOCTTY);

	if (fd < 0)
		return fd;
	/* The end of a request below the FIFO's trigger level arrives after four character times, which QEMU reckons from
	 * the divisor alone: at 115200 baud of loongarch64's 100 MHz clock that is 19 ms for each request. */
	raw.cflag = 0x100f | 0x30 | 0x80 | 0x800; /* B4000000 CS8 CREAD CLOCAL */
	raw.cc[6] = 1; /* VMIN */
	call(NR_IOCTL, fd, 0x5402 /* TCSETS */, (unsigned long)&raw, 0, 0);
	return fd;
}

static long open_virtio(void)
{
	char path[] = "/dev/vport0p1";
	int tries, device;

	/* The port appears when the virtio device was probed, which may be after PID 1 starts. */
	for (tries = 0; tries < 10000; tries++) {
		for (device = 0; device < 8; device++) {
			long fd;

			path[10] = '0' + device;
			fd = open_at(path, O_RDWR);
			if (fd >= 0)
				return fd;
		}
		pause_ms(2);
	}
	return -ENOENT;
}

static u32 get32(const u8 *at) { return *(const u32 *)at; }
static u64 get64(const u8 *at) { return *(const u64 *)at; }
static unsigned long pad8(unsigned long n) { return (n + 7) & ~7UL; }

/* Carries out one request; gives the length of the reply's body and sets the status. */
static u32 carry_out(u32 ops, u32 bytes, u32 *status)
{
	const u8 *in = request, *end = request + bytes;
	u32 out = 0;

	while (ops--) {
		if (end - in < 24)
			goto malformed;
		u32 op = get32(in);
		u64 at = get64(in + 8), len = get64(in + 16);

		if (op == OP_CALL) {
			unsigned long args[6];

			if (end - in < 64)
				goto malformed;
			for (int i = 0; i < 6; i++)
				args[i] = get64(in + 16 + 8 * i);
			if (out + 8 > WIRE_LEN)
				goto too_long;
			*(s64 *)(reply + out) = agent_syscall(at, args);
			out += 8;
			in += 64;
		} else if (op == OP_POKE) {
			in += 24;
			if (len > (u64)(end - in) || pad8(len) > (unsigned long)(end - in))
				goto malformed;
			memcpy((void *)(uptr)at, in, len);
			in += pad8(len);
		} else if (op == OP_ZERO) {
			memset((void *)(uptr)at, 0, len);
			in += 24;
		} else if (op == OP_PEEK) {
			if (len > WIRE_LEN || out + pad8(len) > WIRE_LEN)
				goto too_long;
			memcpy(reply + out, (void *)(uptr)at, len);
			out += pad8(len);
			in += 24;
		} else {
			goto malformed;
		}
	}
	*status = 0;
	return out;
malformed:
	*status = ERR_MALFORMED;
	return 0;
too_long:
	*status = ERR_REPLY_TOO_LONG;
	return 0;
}

static void serve(int fd)
{
	u32 hello[8] = { MAGIC_HELLO, VERSION, sizeof(long) * 8, 0 };
	u64 where[2] = { (uptr)arena, ARENA_LEN };

	memcpy(hello + 4, where, sizeof(where));
	if (exchange(fd, (u8 *)hello, sizeof(hello), NR_WRITE))
		fail("cannot write to the channel");
	for (;;) {
		u32 head[4];

		if (exchange(fd, (u8 *)head, sizeof(head), NR_READ))
			fail("cannot read from the channel");
		if (head[0] != MAGIC_REQUEST || head[3] > WIRE_LEN)
			fail("malformed request");
		if (exchange(fd, request, head[3], NR_READ))
			fail("cannot read from the channel");
		head[0] = MAGIC_REPLY;
		head[3] = carry_out(head[2], head[3], &head[2]);
		if (exchange(fd, (u8 *)head, sizeof(head), NR_WRITE) || exchange(fd, reply, head[3], NR_WRITE))
			fail("cannot write to the channel");
	}
}

void agent_main(unsigned long *stack)
{
	/* The last one: the kernel hands over parameters that it does not know before those that were meant for us. */
	const char *arg = stack[0] > 1 ? (const char *)stack[stack[0]] : "";
	long fd;

	/* What follows `--` on the kernel command line: nothing, `poweroff` for measuring a bare boot (ci/bench-boot),
	 * or the path of the UART that is the channel. */
	if (arg[0] == 'p')
		fail("powering off, as asked");
	call(NR_MKDIRAT, AT_FDCWD, (unsigned long)"/dev", 0755, 0, 0);
	call(NR_MOUNT, (unsigned long)"devtmpfs", (unsigned long)"/dev", (unsigned long)"devtmpfs", 0, 0);
	load_boot_modules();
	fd = arg[0] == '/' ? open_serial(arg) : open_virtio();
	if (fd < 0)
		fail("the channel's device did not appear in 20 seconds");
	serve(fd);
}
