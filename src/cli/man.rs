//! `latchgate man`: the manual, from the same definitions as the command line itself.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;

/// Print the manual page, or write one page for each command into a folder
#[derive(Debug, clap::Args)]
#[command(after_help = "To read it: latchgate man | man -l -")]
pub struct ManArgs {
    /// Write latchgate.1, latchgate-check.1 and so on into this folder; it is made if it is missing
    dir: Option<PathBuf>,
}

/// Prints or writes the pages of `command`.
pub fn run(args: ManArgs, command: clap::Command) -> anyhow::Result<ExitCode> {
    match args.dir {
        None => {
            let mut page = Vec::new();
            clap_mangen::Man::new(command).render(&mut page)?;
            super::output::print(&String::from_utf8_lossy(&page))?;
        }
        Some(dir) => {
            let failed = || format!("cannot write manual pages into {}", dir.display());
            std::fs::create_dir_all(&dir).with_context(failed)?;
            clap_mangen::generate_to(command, &dir).with_context(failed)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_command_has_a_page_of_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("share/man1");
        run(ManArgs { dir: Some(dir.clone()) }, crate::cli::command()).unwrap();
        for name in ["latchgate.1", "latchgate-check.1", "latchgate-man.1"] {
            let page = std::fs::read_to_string(dir.join(name)).unwrap();
            assert!(page.contains(".SH SYNOPSIS"), "{name}");
        }
    }
}
