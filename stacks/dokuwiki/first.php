<?php
// What DokuWiki's installer would write: who may read and write, settings to begin with, and the administrator last,
// so that a start that was cut off is made again.
$folder = '/storage/conf/';
$write = function ($name, $text) use ($folder) {
    $done = file_put_contents($folder . $name . '.new', $text) !== false;
    if (!$done || !rename($folder . $name . '.new', $folder . $name)) {
        fwrite(STDERR, "$folder$name can't be written\n");
        exit(1);
    }
};
// The first lines keep what is in these files from whoever asks for them.
$head = "# %s\n# <?php exit()?>\n";
$others = getenv('SITE_PRIVATE') === 'true' ? 0 : 1;
$write('acl.auth.php', sprintf($head, 'acl.auth.php') . "*\t@ALL\t$others\n*\t@user\t8\n");
if (!file_exists($folder . 'local.php')) {
    $settings = [
        'title' => getenv('SITE_TITLE') ?: getenv('SITE_DOMAIN'),
        'lang' => getenv('SITE_LANGUAGE'),
        'superuser' => '@admin',
        'disableactions' => 'register',
    ];
    $text = "<?php\n";
    foreach ($settings as $name => $value) {
        $text .= '$conf[' . var_export($name, true) . '] = ' . var_export($value, true) . ";\n";
    }
    $write('local.php', $text);
}
$hash = password_hash(trim(file_get_contents('/run/secrets/admin_password')), PASSWORD_BCRYPT);
$address = getenv('ADMIN_EMAIL') ?: 'admin@' . getenv('SITE_DOMAIN');
$clean = fn($text) => str_replace([':', "\n", "\r", '\\'], '', $text);
$line = implode(':', [$clean(getenv('ADMIN_LOGIN')), $hash, 'Administrator', $clean($address), 'admin,user']);
$write('users.auth.php', sprintf($head, 'users.auth.php') . $line . "\n");
