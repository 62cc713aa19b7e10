// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * String kfuncs (kernel/bpf/helpers.c, "Kfuncs for string operations"): pointers, size_t and char in, a signed int out
 * whose negative values are documented: -1 and 1 (comparison) and -ENOENT (-2).
 *
 * Results are declared as u64 so that nothing is narrowed before it is stored; the low 32 bits are judged.
 */
#include "kfunc_case.h"

extern u64 bpf_strlen(const char *s) __ksym;
extern u64 bpf_strnlen(const char *s, size_t count) __ksym;
extern u64 bpf_strchr(const char *s, u64 c) __ksym;
extern u64 bpf_strchrnul(const char *s, u64 c) __ksym;
extern u64 bpf_strnchr(const char *s, size_t count, u64 c) __ksym;
extern u64 bpf_strrchr(const char *s, u64 c) __ksym;
extern u64 bpf_strcmp(const char *a, const char *b) __ksym;
extern u64 bpf_strcasecmp(const char *a, const char *b) __ksym;
extern u64 bpf_strncasecmp(const char *a, const char *b, size_t len) __ksym;
extern u64 bpf_strspn(const char *s, const char *accept) __ksym;
extern u64 bpf_strcspn(const char *s, const char *reject) __ksym;
extern u64 bpf_strstr(const char *s, const char *part) __ksym;
extern u64 bpf_strnstr(const char *s, const char *part, size_t len) __ksym;
extern u64 bpf_strcasestr(const char *s, const char *part) __ksym;

static const char banana[] = "banana";
static const char band[] = "band";
static const char nan_[] = "nan";
static const char ban[] = "ban";
static const char upper[] = "BANANA";
static const char empty[] = "";

SEC("syscall")
__description("int(ptr): length of a string")
__since("6.17")
__success __retval(6)
__observe(0, s32, 6)
__observe(1, s32, 0)
int length(void *ctx)
{
	observed[0] = bpf_strlen(banana);
	observed[1] = bpf_strlen(empty);
	return bpf_strlen(banana);
}

SEC("syscall")
__description("int(ptr, size_t): the size limits, does not limit, and is 0")
__since("6.17")
__input(0, 4) __input(1, 100) __input(2, 0)
__success __retval(0)
__observe(0, s32, 4)
__observe(1, s32, 6)
__observe(2, s32, 0)
int bounded_length(void *ctx)
{
	observed[0] = bpf_strnlen(banana, input[0]);
	observed[1] = bpf_strnlen(banana, input[1]);
	observed[2] = bpf_strnlen(banana, input[2]);
	return 0;
}

SEC("syscall")
__description("int(ptr, char): found at an index; the NUL counts")
__since("6.17")
__input(0, 'n') __input(1, 0)
__success __retval(0)
__observe(0, s32, 2)
__observe(1, s32, 6)
int character_found(void *ctx)
{
	observed[0] = bpf_strchr(banana, input[0]);
	observed[1] = bpf_strchr(banana, input[1]);
	return 0;
}

SEC("syscall")
__description("int(ptr, char): negative result -ENOENT")
__since("6.17")
__input(0, 'x')
__success __retval(-2)
__observe(0, s32, -2)
int character_not_found(void *ctx)
{
	observed[0] = bpf_strchr(banana, input[0]);
	return observed[0];
}

SEC("syscall")
__description("int(ptr, char): a char above 127 is its unsigned self (the kernel's char is unsigned)")
__since("6.17")
__input(0, 0xe9)
__success __retval(0)
__observe(0, s32, 3)
int character_above_127(void *ctx)
{
	static const char cafe[] = "caf\xe9";

	observed[0] = bpf_strchr(cafe, input[0]);
	return 0;
}

SEC("syscall")
__description("int(ptr, char): index of the character, or of the end")
__since("6.17")
__input(0, 'n') __input(1, 'x')
__success __retval(0)
__observe(0, s32, 2)
__observe(1, s32, 6)
int character_or_end(void *ctx)
{
	observed[0] = bpf_strchrnul(banana, input[0]);
	observed[1] = bpf_strchrnul(banana, input[1]);
	return 0;
}

SEC("syscall")
__description("int(ptr, size_t, char): the char is in third position")
__since("6.17")
__input(0, 'n')
__success __retval(0)
__observe(0, s32, 2)
__observe(1, s32, -2)
int character_within(void *ctx)
{
	observed[0] = bpf_strnchr(banana, 3, input[0]);
	observed[1] = bpf_strnchr(banana, 2, input[0]);
	return 0;
}

SEC("syscall")
__description("int(ptr, int): last index, or -ENOENT")
__since("6.17")
__input(0, 'a') __input(1, 'x')
__success __retval(0)
__observe(0, s32, 5)
__observe(1, s32, -2)
int last_character(void *ctx)
{
	observed[0] = bpf_strrchr(banana, input[0]);
	observed[1] = bpf_strrchr(banana, input[1]);
	return 0;
}

SEC("syscall")
__description("int(ptr, ptr): -1, 0 and 1, and so the order of the two arguments")
__since("6.17")
__success __retval(0)
__observe(0, s32, -1)
__observe(1, s32, 0)
__observe(2, s32, 1)
int compare(void *ctx)
{
	observed[0] = bpf_strcmp(banana, band);
	observed[1] = bpf_strcmp(banana, banana);
	observed[2] = bpf_strcmp(band, banana);
	return 0;
}

SEC("syscall")
__description("int(ptr, ptr): comparison without case")
__since("6.18")
__success __retval(0)
__observe(0, s32, 0)
__observe(1, s32, 1)
__observe(2, s32, -1)
int compare_without_case(void *ctx)
{
	observed[0] = bpf_strcasecmp(banana, upper);
	observed[1] = bpf_strcasecmp(band, upper);
	observed[2] = bpf_strcasecmp(upper, band);
	return 0;
}

SEC("syscall")
__description("int(ptr, ptr, size_t)")
__since("7.0")
__input(0, 3) __input(1, 4)
__success __retval(0)
__observe(0, s32, 0)
__observe(1, s32, 1)
int compare_bounded(void *ctx)
{
	observed[0] = bpf_strncasecmp(band, upper, input[0]);
	observed[1] = bpf_strncasecmp(band, upper, input[1]);
	return 0;
}

SEC("syscall")
__description("int(ptr, ptr): spans")
__since("6.17")
__success __retval(0)
__observe(0, s32, 6)
__observe(1, s32, 3)
__observe(2, s32, 1)
int spans(void *ctx)
{
	static const char a_and_d[] = "ad";

	observed[0] = bpf_strspn(banana, ban);
	observed[1] = bpf_strspn(band, ban);
	observed[2] = bpf_strcspn(band, a_and_d);
	return 0;
}

SEC("syscall")
__description("int(ptr, ptr): a part's place, or -ENOENT")
__since("6.17")
__success __retval(0)
__observe(0, s32, 2)
__observe(1, s32, -2)
int part(void *ctx)
{
	observed[0] = bpf_strstr(banana, nan_);
	observed[1] = bpf_strstr(banana, band);
	return 0;
}

SEC("syscall")
__description("int(ptr, ptr, size_t): a part within a number of characters")
__since("6.17")
__input(0, 6) __input(1, 4)
__success __retval(0)
__observe(0, s32, 2)
__observe(1, s32, -2)
int part_within(void *ctx)
{
	observed[0] = bpf_strnstr(banana, nan_, input[0]);
	observed[1] = bpf_strnstr(banana, nan_, input[1]);
	return 0;
}

SEC("syscall")
__description("int(ptr, ptr): a part without case")
__since("6.19")
__success __retval(0)
__observe(0, s32, 2)
__observe(1, s32, -2)
int part_without_case(void *ctx)
{
	observed[0] = bpf_strcasestr(upper, nan_);
	observed[1] = bpf_strcasestr(upper, band);
	return 0;
}
