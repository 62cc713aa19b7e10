/* SPDX-License-Identifier: GPL-2.0 */
/* Takes back what arity.h defined, so that it can be read again. */
#undef REC1
#undef MIX1
#undef REC2
#undef MIX2
#undef REC3
#undef MIX3
#undef REC4
#undef MIX4
#undef REC5
#undef MIX5
#undef REC6
#undef MIX6
#undef REC7
#undef MIX7
#undef REC8
#undef MIX8
#undef REC9
#undef MIX9
#undef REC10
#undef MIX10
#undef REC11
#undef MIX11
#undef REC12
#undef MIX12
#undef REC0
#undef RET
