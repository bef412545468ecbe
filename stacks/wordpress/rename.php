<?php
// Runs when the site has another name, with the old and the new one as arguments. Links to the old name become
// links to the new one in all tables of the database, values that PHP serialized and JSON included. What is no
// link stays: mail addresses, and `guid` of posts, by which feed readers know them. A second run finds nothing.
// Ends with 1 when the database does not answer, with 2 when the arguments are no names.

mysqli_report(MYSQLI_REPORT_ERROR | MYSQLI_REPORT_STRICT);
const MOST_LEVELS = 200;
$is_name = fn($text) => preg_match('/^[a-z0-9.-]+$/D', $text) === 1;
if ($argc !== 3 || !$is_name($argv[1]) || !$is_name($argv[2])) {
    fwrite(STDERR, "usage: rename.php OLD NEW, two host names\n");
    exit(2);
}
define('OLD', $argv[1]);
define('NEW_NAME', $argv[2]);

// What it throws for a value that can't be read as PHP serialized it: that is left as it is.
class Unreadable extends Exception
{
}

// Slashes as they are, as in JSON (in JSON), as in the query of another link. A longer name is another name.
function change_links($text)
{
    $slashes = '//|\\\\+/\\\\+/|%2F%2F';
    $end = '(?![a-z0-9-]|\.[a-z0-9])';
    $done = preg_replace('~(' . $slashes . ')' . preg_quote(OLD, '~') . $end . '~i', '${1}' . NEW_NAME, $text);
    return $done ?? throw new Unreadable(preg_last_error_msg());
}

function change($text, $level = 0)
{
    if (stripos($text, OLD) === false) {
        return $text;
    }
    $at = strspn($text, " \t\r\n");
    if (!preg_match('/\G(?:[aOCsE]:\d+:|[bid]:[^;]*;\s*\z|N;\s*\z)/', $text, $found, 0, $at)) {
        return change_links($text);
    }
    $before = substr($text, 0, $at);
    $done = change_serialized($text, $at, $level);
    $rest = substr($text, $at);
    return trim($rest) === '' ? $before . $done . $rest : throw new Unreadable('more follows');
}

function take($pattern, $text, &$at)
{
    if (!preg_match('/\G' . $pattern . '/', $text, $found, 0, $at)) {
        throw new Unreadable("at byte $at");
    }
    $at += strlen($found[0]);
    return $found;
}

// Returns the value that begins at $at, changed, with the lengths that it has then; $at is behind it afterwards.
function change_serialized($text, &$at, $level, $is_key = false)
{
    if ($level > MOST_LEVELS) {
        throw new Unreadable('too deep');
    }
    $type = $text[$at] ?? '';
    if ($type === 's') {
        $length = (int) take('s:(\d{1,10}):"', $text, $at)[1];
        $inside = substr($text, $at, $length);
        $at += $length;
        take('";', $text, $at);
        $inside = $is_key ? $inside : change($inside, $level + 1);
        return 's:' . strlen($inside) . ':"' . $inside . '";';
    }
    if ($type === 'a' || $type === 'O') {
        // The name of a class is what it is.
        $begin = take('(?:a|O:\d+:"[^"]*"):(\d{1,10}):\{', $text, $at);
        $done = $begin[0];
        for ($left = (int) $begin[1]; $left > 0; $left--) {
            $done .= change_serialized($text, $at, $level + 1, true);
            $done .= change_serialized($text, $at, $level + 1);
        }
        return $done . take('\}', $text, $at)[0];
    }
    if ($type === 'C') {
        // Only its class can read what is inside.
        $begin = take('C:\d+:"[^"]*":(\d{1,10}):\{', $text, $at);
        $inside = substr($text, $at, (int) $begin[1]);
        $at += (int) $begin[1];
        return $begin[0] . $inside . take('\}', $text, $at)[0];
    }
    return take('(?:[bidrR]:[^;:"{}]*;|N;|E:\d+:"[^"]*";)', $text, $at)[0];
}

$database = new mysqli(
    getenv('WORDPRESS_DB_HOST'),
    getenv('WORDPRESS_DB_USER'),
    trim((string) @file_get_contents('/run/secrets/db_password')),
    getenv('WORDPRESS_DB_NAME')
);
$database->set_charset('utf8mb4');

function query($database, $sql, $values = [])
{
    $statement = $database->prepare($sql);
    $statement->execute(array_values($values));
    $result = $statement->get_result();
    return $result ? $result->fetch_all(MYSQLI_ASSOC) : [];
}

function quote($name)
{
    return '`' . str_replace('`', '``', $name) . '`';
}

function all_equal($columns)
{
    return implode(' AND ', array_map(fn($c) => quote($c) . ' = ?', $columns));
}

// Changes a row whose old values are still there; returns [whether it was changed, how many values can't be read].
function change_row($database, $table, $columns, $key)
{
    $where = all_equal(array_keys($key));
    $database->begin_transaction();
    $names = implode(', ', array_map('quote', $columns));
    $rows = query($database, "SELECT $names FROM " . quote($table) . " WHERE $where FOR UPDATE", $key);
    $changed = [];
    $unreadable = 0;
    foreach ($rows[0] ?? [] as $column => $value) {
        try {
            $new = $value === null ? null : change($value);
        } catch (Unreadable $why) {
            $unreadable++;
            continue;
        }
        if ($new !== $value) {
            $changed[$column] = $new;
        }
    }
    if ($changed) {
        $set = implode(', ', array_map(fn($c) => quote($c) . ' = ?', array_keys($changed)));
        $values = [...array_values($changed), ...array_values($key)];
        query($database, 'UPDATE ' . quote($table) . " SET $set WHERE $where", $values);
    }
    $database->commit();
    return [(bool) $changed, $unreadable];
}

$columns = query($database, "SELECT c.TABLE_NAME AS t, c.COLUMN_NAME AS c, c.COLUMN_KEY = 'PRI' AS is_key,
    c.DATA_TYPE IN ('char', 'varchar', 'tinytext', 'text', 'mediumtext', 'longtext', 'json') AS is_text
    FROM information_schema.COLUMNS c JOIN information_schema.TABLES t USING (TABLE_SCHEMA, TABLE_NAME)
    WHERE c.TABLE_SCHEMA = DATABASE() AND t.TABLE_TYPE = 'BASE TABLE' ORDER BY c.TABLE_NAME, c.ORDINAL_POSITION");
$tables = [];
foreach ($columns as $column) {
    $tables[$column['t']] ??= ['key' => [], 'text' => []];
    if ($column['is_key']) {
        $tables[$column['t']]['key'][] = $column['c'];
    } elseif ($column['is_text'] && $column['c'] !== 'guid') {
        $tables[$column['t']]['text'][] = $column['c'];
    }
}
foreach ($tables as $table => ['key' => $keys, 'text' => $texts]) {
    if (!$texts) {
        continue;
    }
    $holds = implode(' OR ', array_map(fn($c) => quote($c) . ' LIKE ?', $texts));
    $like = array_fill(0, count($texts), '%' . OLD . '%');
    $wanted = $keys ? implode(', ', array_map('quote', $keys)) : '1';
    $rows = query($database, "SELECT $wanted FROM " . quote($table) . " WHERE $holds", $like);
    if ($rows && !$keys) {
        fwrite(STDERR, "$table: left as it is, for it has no primary key: " . count($rows) . " rows\n");
        continue;
    }
    $changed = $unreadable = 0;
    foreach ($rows as $key) {
        [$is_changed, $left] = change_row($database, $table, $texts, $key);
        $changed += (int) $is_changed;
        $unreadable += $left;
    }
    if ($changed) {
        echo "$table: links of $changed rows changed\n";
    }
    if ($unreadable) {
        fwrite(STDERR, "$table: $unreadable values left as they are, for PHP could not read them either\n");
    }
}
