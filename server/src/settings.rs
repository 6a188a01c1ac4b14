//! The configuration as this machine understands it: loaded, with accounts looked up.

use crate::cli::Options;
use crate::log::format::Format;
use nix::unistd::{Gid, Group, Uid, User};
use parkade_config::{Account, Config, Diagnostic, LoadOptions, Located, StdSource, load as read};

/// Who a child is.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    pub(crate) user: User,
    pub(crate) gid: Gid,
}

/// Everything the supervisor needs.
pub(crate) struct Settings {
    pub(crate) config: Config,
    /// `None` when the server was not started as root.
    pub(crate) identity: Option<Identity>,
    /// The accounts named, in use or not.
    pub(crate) named: Option<Identity>,
    pub(crate) builtin: bool,
}

impl Settings {
    /// Where the PidFile is to be; the built-in configuration has none.
    pub(crate) fn pid_path(&self) -> Option<&std::path::Path> {
        let path = self.config.pid_file.as_ref().filter(|_| !self.builtin);
        path.map(|p| p.value.as_path())
    }
}

/// Loads the configuration; on success with what is to be said about it, on failure with the errors.
pub(crate) fn load(options: &Options) -> Result<(Settings, Vec<Diagnostic>), Vec<Diagnostic>> {
    let root = Uid::effective().is_root();
    let cores = std::thread::available_parallelism().map_or(1, |n| n.get() as u32);
    let env = |name: &str| std::env::var(name).ok();
    let here = std::env::current_dir().unwrap_or_else(|_| "/".into());
    let load = LoadOptions {
        // A relative -f is looked for below -d, and below the working directory without it.
        server_root: options
            .root
            .as_ref()
            .map_or_else(|| here.clone(), |r| here.join(r)),
        file: options.file.clone(),
        defines: options.defines.clone(),
        before: options.before.clone(),
        after: options.after.clone(),
        skip_document_root_check: options.skip_root_check,
        is_root: root && options.file.is_some(),
        cores,
        env: &env,
    };
    let (config, notes) = read(load, &StdSource)?;
    let mut errors = Vec::new();
    let builtin = options.file.is_none();
    let named = identity(&config, builtin, &mut errors);
    formats(&config, &mut errors);
    if !errors.is_empty() {
        return Err(errors);
    }
    Ok((
        Settings {
            config,
            identity: named.clone().filter(|_| root),
            named,
            builtin,
        },
        notes,
    ))
}

/// Compiles every format that is written, in use or not.
fn formats(config: &Config, errors: &mut Vec<Diagnostic>) {
    let hosts = config.virtual_hosts.iter().map(|h| &h.settings);
    for host in std::iter::once(&config.main).chain(hosts) {
        let named = host.log_formats.iter().map(|(_, format)| format);
        let used = host.custom_logs.iter().map(|log| &log.format);
        for format in named.chain(used) {
            if let Err(bad) = Format::compile(format) {
                let at = format.at.as_ref().map(|at| at.part(&bad.item));
                let error = Diagnostic::error(bad.to_string(), at.as_ref());
                // A format may be inherited, and named by several logs.
                if !errors.contains(&error) {
                    errors.push(error);
                }
            }
        }
    }
}

/// Looks User and Group up; they must exist even when they are not used.
fn identity(config: &Config, builtin: bool, errors: &mut Vec<Diagnostic>) -> Option<Identity> {
    let user = match &config.user {
        Some(account) => match find_user(account) {
            Ok(user) if user.uid.is_root() => {
                let text = "User root: requests are never served as root; name an account without privileges";
                errors.push(Diagnostic::error(text, account.at.as_ref()));
                None
            }
            Ok(user) => Some(user),
            Err(why) => {
                errors.push(Diagnostic::error(why, account.at.as_ref()));
                None
            }
        },
        None if builtin => ["www-data", "nobody"]
            .iter()
            .find_map(|n| User::from_name(n).ok().flatten()),
        None => None,
    };
    let gid = match &config.group {
        Some(account) => match find_group(account) {
            Ok(gid) => Some(gid),
            Err(why) => {
                errors.push(Diagnostic::error(why, account.at.as_ref()));
                None
            }
        },
        None => user.as_ref().map(|u| u.gid),
    };
    Some(Identity {
        user: user?,
        gid: gid?,
    })
}

fn find_user(account: &Located<Account>) -> Result<User, String> {
    let (found, name) = match &account.value {
        Account::Name(name) => (User::from_name(name), name.clone()),
        Account::Id(id) => (User::from_uid(Uid::from_raw(*id)), format!("#{id}")),
    };
    match found {
        Ok(Some(user)) => Ok(user),
        Ok(None) => Err(format!("bad user name {name}: there is no such account")),
        Err(e) => Err(format!("bad user name {name}: {e}")),
    }
}

fn find_group(account: &Located<Account>) -> Result<Gid, String> {
    match &account.value {
        Account::Id(id) => Ok(Gid::from_raw(*id)),
        Account::Name(name) => match Group::from_name(name) {
            Ok(Some(group)) => Ok(group.gid),
            Ok(None) => Err(format!("bad group name {name}: there is no such group")),
            Err(e) => Err(format!("bad group name {name}: {e}")),
        },
    }
}
