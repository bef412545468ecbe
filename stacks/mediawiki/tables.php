<?php
// Whether the wiki is installed: ends with 0 where it is, with 3 where nothing is, with 1 while the database does not
// answer. Tables of an installation that was cut off before its first account go: the installer takes any for whole ones.
// `tables.php is NAME`: whether the tables were brought to a version of that name (0 or 3); `tables.php are NAME`: they
// were, now. MediaWiki has a table for such names.
mysqli_report(MYSQLI_REPORT_OFF);
$password = trim((string) file_get_contents('/run/secrets/db_password'));
$database = @mysqli_connect('db', 'mediawiki', $password, 'mediawiki');
if (!$database) {
    fwrite(STDERR, "waits for the database\n");
    exit(1);
}
$ask = function ($sql) use ($database) {
    $answer = $database->query($sql);
    if ($answer === false) {
        fwrite(STDERR, "the database answers: {$database->error}\n");
        exit(1);
    }
    return $answer === true ? [] : array_column($answer->fetch_all(), 0);
};
if ($argc === 3) {
    $name = 'matou-' . $database->real_escape_string($argv[2]);
    if ($argv[1] === 'is') {
        exit($ask("SELECT 1 FROM updatelog WHERE ul_key = '$name'") ? 0 : 3);
    }
    $ask("DELETE FROM updatelog WHERE ul_key LIKE 'matou-%'");
    $ask("INSERT INTO updatelog (ul_key) VALUES ('$name')");
    exit(0);
}
$tables = $ask('SHOW TABLES');
if (in_array('user', $tables, true) && $ask('SELECT 1 FROM user LIMIT 1')) {
    // The administrator is an account first, then one with rights.
    if ($ask("SELECT 1 FROM user_groups WHERE ug_group = 'bureaucrat' LIMIT 1")) {
        exit(0);
    }
    if ($ask('SELECT 1 FROM page LIMIT 1')) {
        fwrite(STDERR, "the wiki has pages and no bureaucrat; it is served as it is\n");
        exit(0);
    }
}
foreach ($tables as $table) {
    $ask('DROP TABLE `' . str_replace('`', '``', $table) . '`');
}
exit(3);
