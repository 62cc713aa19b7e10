//! Which distribution this is, as far as package names differ (`os-release(5)`).

/// A package manager we know names for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manager {
    /// Debian, Ubuntu and their kin.
    Apt,
    /// Fedora, Red Hat and their kin.
    Dnf,
    /// Arch and its kin.
    Pacman,
}

impl Manager {
    /// All of them, for a distribution we do not know.
    pub const ALL: [Self; 3] = [Self::Apt, Self::Dnf, Self::Pacman];

    /// The command that installs `packages`.
    pub fn install(self, packages: &[String]) -> String {
        let start = match self {
            Self::Apt => "sudo apt-get install",
            Self::Dnf => "sudo dnf install",
            Self::Pacman => "sudo pacman -S --needed",
        };
        format!("{start} {}", packages.join(" "))
    }
}

/// What `/etc/os-release` says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Distro {
    /// `ID`, e.g. `debian`.
    pub id: String,
    /// `VERSION_ID` up to the first character that is no digit.
    pub version: Option<u32>,
    /// `VERSION_CODENAME`.
    pub codename: String,
    /// From `ID`, else from `ID_LIKE`; nothing when neither is known.
    pub manager: Option<Manager>,
}

impl Distro {
    /// Reads the text of an `os-release` file. Unknown lines are of no interest.
    pub fn read(text: &str) -> Self {
        let field = |name: &str| {
            text.lines()
                .filter_map(|line| line.trim().split_once('='))
                .filter(|(key, _)| *key == name)
                .map(|(_, value)| value.trim().trim_matches(['"', '\'']).to_owned())
                .next_back()
                .unwrap_or_default()
        };
        let id = field("ID");
        let like = field("ID_LIKE");
        let manager = std::iter::once(id.as_str()).chain(like.split_whitespace()).find_map(manager_of);
        let digits: String = field("VERSION_ID").chars().take_while(char::is_ascii_digit).collect();
        Self { version: digits.parse().ok(), codename: field("VERSION_CODENAME"), manager, id }
    }

    /// Debian 12 and older: QEMU and clang of the release itself are too old.
    pub fn is_old_debian(&self) -> bool {
        self.id == "debian" && self.version.is_some_and(|version| version <= 12)
    }
}

fn manager_of(id: &str) -> Option<Manager> {
    match id {
        "debian" | "ubuntu" | "linuxmint" | "pop" | "raspbian" | "kali" => Some(Manager::Apt),
        "fedora" | "rhel" | "centos" | "rocky" | "almalinux" => Some(Manager::Dnf),
        "arch" | "manjaro" | "endeavouros" | "cachyos" => Some(Manager::Pacman),
        _ => None,
    }
}
