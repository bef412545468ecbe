#!/usr/bin/env php
<?php
// Makes the tables, or brings those that are there up to date, as Roundcube's own bin/initdb.sh --update does,
// which Debian's package leaves out.
define('INSTALL_PATH', realpath(__DIR__.'/..').'/');
require_once INSTALL_PATH.'program/include/clisetup.php';
$db = rcmail_utils::db();
if (in_array($db->table_name('users'), (array) $db->list_tables())) {
    rcmail_utils::db_update(INSTALL_PATH.'SQL', 'roundcube', null, ['errors' => true]);
} else {
    rcmail_utils::db_init(INSTALL_PATH.'SQL');
}
