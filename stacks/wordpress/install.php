<?php
// Runs before WordPress is served. Installs it, because its installer makes whoever comes first its
// administrator; updates its tables after its code was updated; says how mail is sent.
// Ends with 1 while the database does not answer.

mysqli_report(MYSQLI_REPORT_OFF);
function secret($name)
{
    return trim((string) @file_get_contents('/run/secrets/' . $name));
}
$database = @mysqli_connect(
    getenv('WORDPRESS_DB_HOST'),
    getenv('WORDPRESS_DB_USER'),
    secret('db_password'),
    getenv('WORDPRESS_DB_NAME')
);
if (!$database) {
    fwrite(STDERR, "waits for the database\n");
    exit(1);
}
$database->close();

define('WP_INSTALLING', true);
$_SERVER['HTTP_HOST'] = $_SERVER['SERVER_NAME'] = getenv('SITE_DOMAIN');
$_SERVER['HTTPS'] = 'on';
$_SERVER['REQUEST_URI'] = '/';
// WordPress would mail the password that nobody has chosen.
function wp_new_blog_notification()
{
}
require '/var/www/html/wp-load.php';
require_once ABSPATH . 'wp-admin/includes/upgrade.php';
if (!is_blog_installed()) {
    $title = getenv('SITE_TITLE') ?: getenv('SITE_DOMAIN');
    $mail = getenv('ADMIN_EMAIL') ?: 'admin@' . getenv('SITE_DOMAIN');
    wp_install($title, getenv('ADMIN_LOGIN'), $mail, true, '', secret('admin_password'));
    fwrite(STDERR, "WordPress is installed\n");
} else {
    // Changes nothing when the tables are as the code wants them.
    wp_upgrade();
}

$plugin = WPMU_PLUGIN_DIR . '/matou-mail.php';
if (getenv('MAIL_HOST')) {
    wp_mkdir_p(WPMU_PLUGIN_DIR);
    if (!copy('/matou/mail.php', $plugin)) {
        fwrite(STDERR, "$plugin can't be written: mail is not sent through MAIL_HOST\n");
    }
} elseif (is_file($plugin)) {
    unlink($plugin);
}
