//! The fleet folder, with git itself: what is committed, and what never is.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use matou_config::Config;
use matou_history::{FileChange, FleetFolder, Reason};

/// Runs git in a folder as the operator does.
fn git(folder: &Path, arguments: &[&str]) -> String {
    let out = Command::new("git")
        .args(["-c", "user.name=ana", "-c", "user.email=ana@example.org"])
        .args(["-C", folder.to_str().unwrap()])
        .args(arguments)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success(), "git {arguments:?}: {said}");
    String::from_utf8_lossy(&out.stdout).into_owned()
}

/// A fleet folder with an application, below `root`.
fn make_folder(root: &Path, config: &str) -> FleetFolder {
    for folder in ["apps", "stacks"] {
        fs::create_dir_all(root.join(folder)).unwrap();
    }
    let path = root.join("config.toml");
    fs::write(&path, config).unwrap();
    fs::write(root.join("apps/shop.toml"), "stack = \"ghost\"\n").unwrap();
    fs::write(root.join("restic-password"), "hunter2\n").unwrap();
    FleetFolder::of_config(&Config::load(Some(&path)).unwrap()).unwrap()
}

const CONFIG: &str =
    "[fleet]\ngit = true\n[[nodes]]\nname = \"n1\"\nrole = \"manager\"\naddress = \"192.0.2.1\"\n";

fn write(name: &str, content: &str) -> FileChange {
    FileChange::Write {
        name: name.to_owned(),
        content: content.as_bytes().to_vec(),
        mode: 0o644,
    }
}

fn reason(title: &str) -> Reason {
    Reason {
        title: title.to_owned(),
        lines: vec!["a line".to_owned()],
    }
}

async fn change(folder: &FleetFolder, changes: &[FileChange], title: &str) -> Vec<String> {
    folder.change(changes, &reason(title)).await.unwrap()
}

fn titles(folder: &Path) -> Vec<String> {
    let log = git(folder, &["log", "--format=%s"]);
    log.lines().map(str::to_owned).collect()
}

/// All that git has of a text in any of its objects.
fn is_anywhere(folder: &Path, text: &str) -> bool {
    let objects = git(
        folder,
        &[
            "cat-file",
            "--batch-all-objects",
            "--batch-check=%(objectname) %(objecttype)",
        ],
    );
    objects.lines().any(|line| {
        let (id, kind) = line.split_once(' ').unwrap();
        git(folder, &["cat-file", kind, id]).contains(text)
    })
}

#[tokio::test]
async fn a_change_is_a_commit_of_its_own_files_alone() {
    let dir = tempfile::tempdir().unwrap();
    let folder = make_folder(dir.path(), CONFIG);
    let said = change(
        &folder,
        &[write(
            "apps/shop.toml",
            "stack = \"ghost\"\nplace = \"n1\"\n",
        )],
        "place shop on n1",
    )
    .await;
    assert!(said.is_empty());
    assert_eq!(
        titles(dir.path()),
        ["place shop on n1", "The fleet's files as they are"]
    );
    assert_eq!(
        git(dir.path(), &["show", "--format=", "--name-only", "HEAD"]),
        "apps/shop.toml\n"
    );
    assert_eq!(
        git(dir.path(), &["log", "-1", "--format=%b"]).trim(),
        "a line"
    );
    assert!(!is_anywhere(dir.path(), "hunter2"));
    assert_eq!(git(dir.path(), &["status", "--porcelain"]), "");

    // What the operator has staged, and what he has edited, stays as it is.
    fs::write(dir.path().join("apps/blog.toml"), "stack = \"ghost\"\n").unwrap();
    git(dir.path(), &["add", "apps/blog.toml"]);
    fs::write(dir.path().join("config.toml"), format!("{CONFIG}# mine\n")).unwrap();
    change(
        &folder,
        &[FileChange::Remove {
            name: "apps/shop.toml".into(),
        }],
        "erase shop",
    )
    .await;
    assert_eq!(
        git(dir.path(), &["show", "--format=", "--name-status", "HEAD"]),
        "D\tapps/shop.toml\n"
    );
    assert_eq!(
        git(dir.path(), &["status", "--porcelain"]),
        "A  apps/blog.toml\n M config.toml\n"
    );

    // Nothing changes: no commit.
    let before = git(dir.path(), &["rev-parse", "HEAD"]);
    change(
        &folder,
        &[FileChange::Remove {
            name: "apps/shop.toml".into(),
        }],
        "again",
    )
    .await;
    assert_eq!(git(dir.path(), &["rev-parse", "HEAD"]), before);
}

#[tokio::test]
async fn an_edit_by_hand_gets_a_commit_of_its_own_before_it_is_written_over() {
    let dir = tempfile::tempdir().unwrap();
    let folder = make_folder(dir.path(), CONFIG);
    change(
        &folder,
        &[write("apps/shop.toml", "stack = \"ghost\"\n# 1\n")],
        "first",
    )
    .await;
    fs::write(
        dir.path().join("apps/shop.toml"),
        "stack = \"ghost\"\n# the operator's\n",
    )
    .unwrap();
    change(
        &folder,
        &[write("apps/shop.toml", "stack = \"ghost\"\n# 2\n")],
        "second",
    )
    .await;
    let told = titles(dir.path());
    assert_eq!(
        told[..3],
        ["second", "apps/shop.toml as edited by hand", "first"]
    );
    assert!(git(dir.path(), &["show", "HEAD~1:apps/shop.toml"]).contains("the operator's"));

    // What can't be committed is kept beside, where it is written over.
    fs::write(
        dir.path().join("apps/shop.toml"),
        "stack = \"ghost\"\n[variables]\nAPI_TOKEN = \"planted\"\n",
    )
    .unwrap();
    let replaced = FileChange::Replace {
        name: "apps/shop.toml".into(),
        content: b"stack = \"ghost\"\n".to_vec(),
        mode: 0o644,
    };
    let said = change(&folder, &[replaced], "back").await;
    assert_eq!(
        said,
        ["what apps/shop.toml held is kept as apps/shop.toml.before"]
    );
    assert!(
        fs::read_to_string(dir.path().join("apps/shop.toml.before"))
            .unwrap()
            .contains("planted")
    );
    assert!(!is_anywhere(dir.path(), "planted"));
    assert_eq!(git(dir.path(), &["status", "--porcelain"]), "");
}

#[tokio::test]
async fn secrets_and_ignored_files_stay_out_and_it_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let folder = make_folder(dir.path(), CONFIG);
    let stack = "services:\n  web:\n    image: x\n    environment: {DB_PASSWORD: planted}\n";
    let said = change(
        &folder,
        &[
            write("stacks/shop.yml", stack),
            write("apps/shop.toml", "stack = \"shop\"\n"),
        ],
        "adopt shop",
    )
    .await;
    assert_eq!(
        said,
        [
            "stacks/shop.yml is not put into the history: it holds in the open what looks like a secret (DB_PASSWORD)"
        ]
    );
    assert!(!is_anywhere(dir.path(), "planted"));
    assert_eq!(titles(dir.path())[0], "adopt shop");
    fs::write(dir.path().join(".gitignore"), "/apps/\n").unwrap();
    let said = change(&folder, &[write("apps/new.toml", "stack = \"x\"\n")], "new").await;
    assert_eq!(said, ["git ignores apps/new.toml: it has no history"]);
    // A link out of the folder is not followed.
    std::os::unix::fs::symlink("../restic-password", dir.path().join("stacks/link.yml")).unwrap();
    let edited = folder.list_edited(&["stacks/link.yml"]).await.unwrap();
    assert_eq!(edited, ["stacks/link.yml"]);
}

/// The operator's, with a secret in the open: no commit takes it.
const WITH_SECRET: &str =
    "stack = \"ghost\"\n# the operator's\n[variables]\nAPI_TOKEN = \"planted\"\n";

/// The three kinds of a change of a file.
fn kinds_of_change(name: &str, content: &str) -> [FileChange; 3] {
    let replaced = FileChange::Replace {
        name: name.to_owned(),
        content: content.as_bytes().to_vec(),
        mode: 0o644,
    };
    let removed = FileChange::Remove {
        name: name.to_owned(),
    };
    [write(name, content), replaced, removed]
}

#[tokio::test]
async fn an_edit_that_no_commit_can_take_is_kept_beside_the_file() {
    const NAME: &str = "apps/shop.toml";
    const NEW: &str = "stack = \"ghost\"\nplace = \"n1\"\n";
    for (reason_why, edit) in [("secret", WITH_SECRET), ("ignored", "# the operator's\n")] {
        for change_of_file in kinds_of_change(NAME, NEW) {
            let told = format!("{reason_why} {change_of_file:?}");
            let dir = tempfile::tempdir().unwrap();
            let folder = make_folder(dir.path(), CONFIG);
            if reason_why == "ignored" {
                fs::write(dir.path().join(".gitignore"), "/apps/\n").unwrap();
            }
            let first = [write("apps/other.toml", "stack = \"x\"\n")];
            change(&folder, &first, "first").await;
            let path = dir.path().join(NAME);
            fs::write(&path, edit).unwrap();
            let said = change(&folder, std::slice::from_ref(&change_of_file), "next").await;
            let note = "what apps/shop.toml held is kept as apps/shop.toml.before";
            assert!(said.iter().any(|s| s == note), "{told}: {said:?}");
            let kept = fs::read_to_string(dir.path().join("apps/shop.toml.before")).unwrap();
            assert_eq!(kept, edit, "{told}");
            let held = fs::read(&path).ok();
            assert_eq!(held.as_deref(), change_of_file.content(), "{told}");
            assert!(!is_anywhere(dir.path(), "planted"), "{told}");
        }
    }
}

#[tokio::test]
async fn what_matou_wrote_itself_is_not_kept_beside_and_no_copy_is_written_over() {
    let dir = tempfile::tempdir().unwrap();
    let folder = make_folder(dir.path(), CONFIG);
    let path = dir.path().join("apps/shop.toml");
    let second = dir.path().join("apps/shop.toml.2.before");
    let own = |n: u32| format!("stack = \"ghost\"\n[variables]\nAPI_TOKEN = \"planted{n}\"\n");
    fs::write(&path, WITH_SECRET).unwrap();
    change(&folder, &[write("apps/shop.toml", &own(1))], "first").await;
    // It was the operator's.
    let before = dir.path().join("apps/shop.toml.before");
    assert_eq!(fs::read_to_string(&before).unwrap(), WITH_SECRET);
    for n in 2..4 {
        let said = change(&folder, &[write("apps/shop.toml", &own(n))], "next").await;
        assert!(!said.iter().any(|s| s.contains("is kept as")), "{said:?}");
    }
    assert!(!second.exists());
    // Also while git fails.
    let index = dir.path().join(".git/index");
    let whole = fs::read(&index).unwrap();
    fs::write(&index, "no index").unwrap();
    let said = change(&folder, &[write("apps/shop.toml", &own(4))], "next").await;
    assert!(
        said.len() == 1 && said[0].starts_with("what changed is not in the history yet"),
        "{said:?}"
    );
    let edit = format!("{}# edited\n", own(4));
    fs::write(&path, &edit).unwrap();
    let said = change(&folder, &[write("apps/shop.toml", &own(5))], "next").await;
    assert_eq!(
        said[0],
        "what apps/shop.toml held is kept as apps/shop.toml.2.before"
    );
    fs::write(&index, whole).unwrap();
    assert_eq!(fs::read_to_string(&second).unwrap(), edit);
    assert_eq!(fs::read_to_string(&before).unwrap(), WITH_SECRET);
    // Taken away, it is no edit either.
    let removed = FileChange::Remove {
        name: "apps/shop.toml".into(),
    };
    change(&folder, &[removed], "remove shop").await;
    assert!(!path.exists());
    assert!(!dir.path().join("apps/shop.toml.3.before").exists());
}

#[tokio::test]
async fn a_version_that_is_staged_gets_a_commit_of_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let folder = make_folder(dir.path(), CONFIG);
    let path = dir.path().join("apps/shop.toml");
    change(&folder, &[write("apps/shop.toml", "# 1\n")], "first").await;
    fs::write(&path, "# staged\n").unwrap();
    fs::write(dir.path().join("apps/blog.toml"), "# staged, too\n").unwrap();
    git(dir.path(), &["add", "apps"]);
    fs::write(&path, "# edited\n").unwrap();
    let said = change(&folder, &[write("apps/shop.toml", "# 2\n")], "second").await;
    assert!(said.is_empty(), "{said:?}");
    assert_eq!(
        titles(dir.path())[..4],
        [
            "second",
            "apps/shop.toml as edited by hand",
            "apps/shop.toml as staged by hand",
            "first"
        ]
    );
    for (commit, content) in [
        ("HEAD", "# 2\n"),
        ("HEAD~1", "# edited\n"),
        ("HEAD~2", "# staged\n"),
    ] {
        let shown = git(dir.path(), &["show", &format!("{commit}:apps/shop.toml")]);
        assert_eq!(shown, content, "{commit}");
        let names = ["show", "--format=", "--name-only", commit];
        assert_eq!(git(dir.path(), &names), "apps/shop.toml\n", "{commit}");
    }
    // What else is staged stays so.
    assert_eq!(
        git(dir.path(), &["status", "--porcelain"]),
        "A  apps/blog.toml\n"
    );

    // One with a secret stays where it is, and the new version is not put over it.
    fs::write(&path, WITH_SECRET).unwrap();
    git(dir.path(), &["add", "apps/shop.toml"]);
    fs::write(&path, "# edited\n").unwrap();
    let said = change(&folder, &[write("apps/shop.toml", "# 3\n")], "third").await;
    assert_eq!(
        said,
        [
            "what apps/shop.toml held is kept as apps/shop.toml.before",
            "apps/shop.toml is not put into the history: another version of it is staged, which holds in the open what looks like a secret (API_TOKEN)"
        ]
    );
    assert_eq!(git(dir.path(), &["show", ":apps/shop.toml"]), WITH_SECRET);
    assert_eq!(titles(dir.path())[0], "second");
    assert_eq!(fs::read_to_string(&path).unwrap(), "# 3\n");
}

#[tokio::test]
async fn a_version_that_is_staged_before_the_first_commit_gets_one() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("fleet");
    fs::create_dir(&root).unwrap();
    let folder = make_folder(&root, CONFIG);
    git(dir.path(), &["init", "--quiet"]);
    git(dir.path(), &["add", "fleet/apps"]);
    fs::write(root.join("apps/shop.toml"), "# edited\n").unwrap();
    let said = change(&folder, &[write("apps/shop.toml", "# 2\n")], "first").await;
    assert!(said.is_empty(), "{said:?}");
    assert_eq!(
        titles(dir.path()),
        [
            "first",
            "apps/shop.toml as edited by hand",
            "apps/shop.toml as staged by hand"
        ]
    );
    let names = ["show", "--format=", "--name-only", "HEAD~2"];
    assert_eq!(git(dir.path(), &names), "fleet/apps/shop.toml\n");
}

#[tokio::test]
async fn nothing_is_committed_into_a_merge_or_on_no_branch() {
    let dir = tempfile::tempdir().unwrap();
    let folder = make_folder(dir.path(), CONFIG);
    change(&folder, &[write("apps/shop.toml", "# 1\n")], "first").await;
    let main = git(dir.path(), &["branch", "--show-current"]);
    git(dir.path(), &["checkout", "--quiet", "-b", "other"]);
    fs::write(dir.path().join("config.toml"), format!("{CONFIG}# 2\n")).unwrap();
    git(dir.path(), &["commit", "--quiet", "--all", "-m", "other"]);
    git(dir.path(), &["checkout", "--quiet", main.trim()]);
    git(
        dir.path(),
        &["merge", "--quiet", "--no-ff", "--no-commit", "other"],
    );
    let head = git(dir.path(), &["rev-parse", "HEAD"]);
    fs::write(dir.path().join("apps/shop.toml"), "# edited\n").unwrap();
    let said = change(&folder, &[write("apps/shop.toml", "# 2\n")], "second").await;
    assert_eq!(
        said,
        [
            "what apps/shop.toml held is kept as apps/shop.toml.before",
            "what changed is not in the history yet: a merge is under way in its repository: finish or abort it"
        ]
    );
    change(&folder, &[write("apps/new.toml", "# 1\n")], "third").await;
    assert_eq!(git(dir.path(), &["rev-parse", "HEAD"]), head);
    assert!(!folder.finish_interrupted().await.unwrap());
    git(dir.path(), &["commit", "--quiet", "-m", "merged"]);
    let names = ["diff", "--name-only", "HEAD~1", "HEAD"];
    assert_eq!(git(dir.path(), &names), "config.toml\n");
    // All that was written meanwhile is committed then.
    assert!(folder.finish_interrupted().await.unwrap());
    assert_eq!(titles(dir.path())[0], "third");
    assert_eq!(
        git(dir.path(), &["show", "--format=", "--name-only", "HEAD"]),
        "apps/new.toml\napps/shop.toml\n"
    );

    git(dir.path(), &["checkout", "--quiet", "--detach"]);
    let said = change(&folder, &[write("apps/shop.toml", "# 3\n")], "fourth").await;
    assert_eq!(
        said,
        [
            "what changed is not in the history yet: no branch is checked out in its repository (HEAD is detached): check one out"
        ]
    );
    git(dir.path(), &["checkout", "--quiet", main.trim()]);
    change(&folder, &[write("apps/shop.toml", "# 4\n")], "fifth").await;
    assert_eq!(titles(dir.path())[..3], ["fifth", "fourth", "third"]);

    for name in ["rebase-merge", "rebase-apply"] {
        let under_way = dir.path().join(".git").join(name);
        fs::create_dir(&under_way).unwrap();
        let said = change(&folder, &[write("apps/shop.toml", "# 5\n")], "sixth").await;
        assert!(said[0].contains("a rebase is under way"), "{said:?}");
        fs::remove_dir(&under_way).unwrap();
    }
    assert_eq!(titles(dir.path())[0], "fifth");
}

#[tokio::test]
async fn a_file_with_a_secret_in_the_open_is_for_nobody_else() {
    use std::os::unix::fs::PermissionsExt;
    for config in [CONFIG.to_owned(), CONFIG.replace("true", "false")] {
        let dir = tempfile::tempdir().unwrap();
        let folder = make_folder(dir.path(), &config);
        let mode = |name: &str| {
            let found = fs::metadata(dir.path().join(name)).unwrap();
            found.permissions().mode() & 0o777
        };
        let stack = "services:\n  web:\n    image: x\n    command: [server, --token=planted]\n";
        let files = [
            write("stacks/shop.yml", stack),
            write("apps/shop.toml", WITH_SECRET),
            write("apps/plain.toml", "stack = \"x\"\n"),
        ];
        change(&folder, &files, "first").await;
        let found = ["stacks/shop.yml", "apps/shop.toml", "apps/plain.toml"].map(mode);
        assert_eq!(found, [0o600, 0o600, 0o644]);
        // A group that has it already keeps it.
        let path = dir.path().join("stacks/shop.yml");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        change(&folder, &files, "again").await;
        assert_eq!(mode("stacks/shop.yml"), 0o640);
    }
}

#[tokio::test]
async fn it_may_be_a_part_of_a_larger_repository() {
    let dir = tempfile::tempdir().unwrap();
    git(dir.path(), &["init", "--quiet"]);
    fs::write(dir.path().join("notes.md"), "mine\n").unwrap();
    let root = dir.path().join("fleet one");
    fs::create_dir(&root).unwrap();
    let folder = make_folder(&root, CONFIG);
    change(
        &folder,
        &[write("apps/shop.toml", "stack = \"ghost\"\n# 1\n")],
        "first",
    )
    .await;
    // What was there and in no commit is one of its own.
    assert_eq!(
        titles(dir.path()),
        ["first", "apps/shop.toml as edited by hand"]
    );
    change(
        &folder,
        &[write("apps/shop.toml", "stack = \"ghost\"\n# 2\n")],
        "second",
    )
    .await;
    assert_eq!(titles(dir.path())[0], "second");
    let found = folder
        .list_revisions(&["apps/shop.toml"], 10)
        .await
        .unwrap();
    assert_eq!(
        found.iter().map(|r| r.title.as_str()).collect::<Vec<_>>(),
        ["second", "first", "apps/shop.toml as edited by hand"]
    );
    let files = folder.list_files_at(&found[1].id).await.unwrap();
    assert_eq!(
        files,
        [(
            "apps/shop.toml".to_owned(),
            b"stack = \"ghost\"\n# 1\n".to_vec()
        )]
    );
    assert!(git(dir.path(), &["status", "--porcelain"]).contains("?? notes.md"));
}

#[tokio::test]
async fn what_was_cut_off_between_file_and_commit_is_committed_the_next_time() {
    let dir = tempfile::tempdir().unwrap();
    let folder = make_folder(dir.path(), CONFIG);
    change(
        &folder,
        &[write("apps/shop.toml", "stack = \"ghost\"\n# 1\n")],
        "first",
    )
    .await;
    // A commit that fails leaves what a kill leaves: the file, and the note of what is to be committed.
    let lock = dir.path().join(".git/index.lock");
    fs::write(&lock, "").unwrap();
    let said = change(
        &folder,
        &[write("apps/shop.toml", "stack = \"ghost\"\n# 2\n")],
        "second",
    )
    .await;
    assert!(
        said.len() == 1 && said[0].starts_with("what changed is not in the history yet: `git add"),
        "{said:?}"
    );
    assert!(
        fs::read_to_string(dir.path().join("apps/shop.toml"))
            .unwrap()
            .contains("# 2")
    );
    assert!(folder.is_interrupted("apps/shop.toml").await.unwrap());
    fs::remove_file(&lock).unwrap();
    assert!(folder.finish_interrupted().await.unwrap());
    assert_eq!(titles(dir.path())[..2], ["second", "first"]);
    assert!(!folder.finish_interrupted().await.unwrap());

    // Edited since: it is the operator's.
    fs::write(&lock, "").unwrap();
    change(
        &folder,
        &[write("apps/shop.toml", "stack = \"ghost\"\n# 3\n")],
        "third",
    )
    .await;
    fs::remove_file(&lock).unwrap();
    fs::write(
        dir.path().join("apps/shop.toml"),
        "stack = \"ghost\"\n# mine\n",
    )
    .unwrap();
    assert!(!folder.finish_interrupted().await.unwrap());
    assert_eq!(titles(dir.path())[0], "second");
    assert_eq!(
        folder.list_edited(&["apps/shop.toml"]).await.unwrap(),
        ["apps/shop.toml"]
    );
}

#[tokio::test]
async fn two_that_write_at_once_both_get_their_commit() {
    let dir = tempfile::tempdir().unwrap();
    let folder = make_folder(dir.path(), CONFIG);
    change(
        &folder,
        &[write("apps/shop.toml", "stack = \"ghost\"\n# 0\n")],
        "first",
    )
    .await;
    let write_one = async |n: usize| {
        let new = write(&format!("apps/a{n}.toml"), "stack = \"ghost\"\n");
        change(&folder, &[new], &format!("deploy a{n}")).await
    };
    let said = tokio::join!(write_one(1), write_one(2), write_one(3));
    assert_eq!(said, (vec![], vec![], vec![]));
    assert_eq!(titles(dir.path()).len(), 5);
    assert_eq!(git(dir.path(), &["status", "--porcelain"]), "");
}

#[tokio::test]
async fn a_year_is_read_in_less_than_a_second() {
    let dir = tempfile::tempdir().unwrap();
    let folder = make_folder(dir.path(), CONFIG);
    change(
        &folder,
        &[write("apps/shop.toml", "stack = \"ghost\"\n# 0\n")],
        "first",
    )
    .await;
    // Ten changes a day, a tenth of them of this application.
    let mut stream = String::new();
    let begun = git(dir.path(), &["rev-parse", "HEAD"]);
    for n in 1..=3650_u32 {
        let app = if n % 10 == 0 {
            "shop".to_owned()
        } else {
            format!("a{}", n % 40)
        };
        let content = format!("stack = \"ghost\"\n# {n}\n");
        let from = if n == 1 {
            format!("from {begun}")
        } else {
            String::new()
        };
        let at = 1_700_000_000 + n * 8640;
        stream.push_str(&format!("commit refs/heads/main\ncommitter ana <ana@example.org> {at} +0000\ndata <<E\nupdate {app} {n}\nE\n{from}M 100644 inline apps/{app}.toml\ndata {}\n{content}\n", content.len()));
    }
    let script = dir.path().join(".git/stream");
    fs::write(&script, stream).unwrap();
    let fed = Command::new("git")
        .args(["-C", dir.path().to_str().unwrap(), "fast-import", "--quiet"])
        .stdin(fs::File::open(&script).unwrap())
        .status()
        .unwrap();
    assert!(fed.success());
    git(dir.path(), &["reset", "--hard", "--quiet"]);
    // What else the machine does makes it slower, never faster.
    let (mut took, mut found) = (Vec::new(), Vec::new());
    for _ in 0..3 {
        let begun = std::time::Instant::now();
        let read = folder.list_revisions(&["apps/shop.toml"], 1000);
        found = read.await.unwrap();
        took.push(begun.elapsed());
    }
    assert_eq!(found.len(), 365 + 2);
    assert_eq!(found[0].title.as_str(), "update shop 3650");
    let best = took.iter().min().unwrap();
    assert!(best.as_millis() < 1000, "{took:?}");
    let files = folder.list_files_at(&found[10].id).await.unwrap();
    assert!(
        files
            .iter()
            .any(|(n, c)| n == "apps/shop.toml" && c.ends_with(b"# 3550\n"))
    );
}

#[tokio::test]
async fn revisions_are_no_options_and_a_wrong_one_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let folder = make_folder(dir.path(), CONFIG);
    assert!(folder.list_revisions(&[], 10).await.unwrap().is_empty());
    change(
        &folder,
        &[write("apps/shop.toml", "stack = \"ghost\"\n# 0\n")],
        "first",
    )
    .await;
    let head = git(dir.path(), &["rev-parse", "HEAD"]).trim().to_owned();
    for revision in ["HEAD", "main", &head[..7], "HEAD^0"] {
        assert_eq!(
            folder.resolve_revision(revision).await.unwrap(),
            head,
            "{revision}"
        );
    }
    for revision in ["HEAD~9", "nope", "--all", "", "HEAD:apps/shop.toml", "-"] {
        let said = folder
            .resolve_revision(revision)
            .await
            .unwrap_err()
            .to_string();
        assert!(said.contains("is no revision of"), "{revision}: {said}");
    }
}

#[tokio::test]
async fn without_the_switch_there_is_no_git() {
    let dir = tempfile::tempdir().unwrap();
    let config = CONFIG.replace("git = true", "git = false");
    let folder = make_folder(dir.path(), &config);
    change(
        &folder,
        &[write("apps/shop.toml", "stack = \"x\"\n")],
        "first",
    )
    .await;
    assert!(!PathBuf::from(dir.path()).join(".git").exists());
    // What the folder holds is all that it has, and no copies are made.
    for change_of_file in kinds_of_change("apps/shop.toml", "stack = \"y\"\n") {
        fs::write(dir.path().join("apps/shop.toml"), "# mine\n").unwrap();
        let said = change(&folder, &[change_of_file], "next").await;
        assert!(said.is_empty(), "{said:?}");
        assert!(!dir.path().join("apps/shop.toml.before").exists());
    }
    let said = folder.list_revisions(&[], 1).await.unwrap_err().to_string();
    assert!(said.starts_with("no history is kept"), "{said}");
}

#[tokio::test]
async fn nothing_from_elsewhere_is_written_through_a_link() {
    for config in [CONFIG.to_owned(), CONFIG.replace("true", "false")] {
        let dir = tempfile::tempdir().unwrap();
        let folder = make_folder(dir.path(), &config);
        let outside = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink(outside.path(), dir.path().join("stacks/sub")).unwrap();
        for name in [
            "stacks/sub/key",
            "stacks/sub/deep/key",
            "../key",
            "/tmp/key",
        ] {
            let planted = FileChange::Replace {
                name: name.into(),
                content: b"planted".to_vec(),
                mode: 0o644,
            };
            let both = [write("apps/new.toml", "stack = \"x\"\n"), planted];
            let said = folder.change(&both, &reason("back")).await.unwrap_err();
            let said = said.to_string();
            assert!(
                said.contains("is a link") || said.contains("is no path"),
                "{said}"
            );
        }
        assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0);
        // All or nothing.
        assert!(!dir.path().join("apps/new.toml").exists());
    }
}
