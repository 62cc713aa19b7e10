//! Kernels to boot: where they come from, how they are checked, unpacked and cached, and the initramfs they boot with.
//!
//! The only part of the product that touches the network or a compiler. [`Store::resolve`] turns a [`KernelSpec`] into an
//! [`Image`]; [`Store::modules`] adds modules to it. Nothing here knows QEMU, BPF or a case.
//!
//! The way of a stock kernel: `mirror` → verified index of a suite (`archive`) → kernel packages
//! (`index`) → package (`deb`) → bare kernel (`unwrap`, `pvh`) → cache entry (`stock`, `image`). A kernel that is built
//! here comes from a source package or from the user's tree (`built`). `bundle` carries images to other machines.

mod agent;
mod apt;
mod archive;
mod built;
mod bundle;
mod cache;
mod deb;
mod error;
mod event;
mod external;
mod format;
mod hex;
mod http;
mod image;
mod index;
mod initramfs;
mod local;
mod mirror;
mod modules;
mod pvh;
mod release;
mod spec;
mod stock;
mod store;
mod unwrap;
mod verify;
mod version;

pub use agent::{AgentTarget, Clang, clang};
pub use built::{BuildOptions, Toolchain};
pub use error::{Error, Result, size};
pub use event::{Activity, Event, Progress};
pub use external::ModuleSources;
pub use format::Machine;
pub use hex::hex;
pub use image::{Image, Module, ModuleSet, Provider};
pub use spec::{DEFAULT_SUITE, KernelSpec, Source, Variant};
pub use store::{BuildNames, DebianNames, Store, StoreOptions, StoredImage, Target};
