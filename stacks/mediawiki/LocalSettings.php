<?php
// Written when the container starts, out of the stack's variables. Settings of one's own stand in settings.php of the
// volume "config", which is read last.
if (!defined('MEDIAWIKI')) {
    exit;
}
$wgSitename = getenv('SITE_TITLE') ?: getenv('SITE_DOMAIN');
// Stays where the title changes.
$wgMetaNamespace = 'Project';
$wgServer = 'https://' . getenv('SITE_DOMAIN');
$wgScriptPath = '';
$wgArticlePath = '/wiki/$1';
$wgLanguageCode = getenv('SITE_LANGUAGE');
$wgDBtype = 'mysql';
$wgDBserver = 'db';
$wgDBname = 'mediawiki';
$wgDBuser = 'mediawiki';
$wgDBpassword = trim((string) file_get_contents('/run/secrets/db_password'));
$wgDBTableOptions = 'ENGINE=InnoDB, DEFAULT CHARSET=binary';
$wgSecretKey = trim((string) file_get_contents('/run/secrets/secret_key'));
$wgAuthenticationTokenVersion = '1';
$wgMainCacheType = CACHE_ACCEL;
$wgSessionCacheType = CACHE_DB;
$wgCacheDirectory = '/var/www/html/cache';
// Whom the edge names is who asks.
$wgCdnServersNoPurge = ['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16'];
// Nobody writes without an account, and accounts are made by who has one.
$wgGroupPermissions['*']['edit'] = false;
$wgGroupPermissions['*']['createaccount'] = getenv('SITE_REGISTRATION') === 'true';
if (getenv('SITE_PRIVATE') === 'true') {
    $wgGroupPermissions['*']['read'] = false;
    $wgGroupPermissions['*']['createaccount'] = false;
    $wgWhitelistRead = ['Special:UserLogin', 'Special:PasswordReset', 'Special:ChangePassword'];
    $wgUploadPath = '/img_auth.php';
}
$wgEnableUploads = true;
$wgUseImageMagick = true;
$wgImageMagickConvertCommand = '/usr/bin/convert';
$wgEnableEmail = (bool) getenv('MAIL_HOST');
$wgEnableUserEmail = $wgEnableEmail;
$wgPasswordSender = getenv('MAIL_SENDER') ?: 'wiki@' . getenv('SITE_DOMAIN');
$wgEmergencyContact = getenv('ADMIN_EMAIL') ?: 'admin@' . getenv('SITE_DOMAIN');
wfLoadSkin('Vector');
wfLoadSkin('Timeless');
$wgDefaultSkin = 'vector-2022';
wfLoadExtension('Cite');
wfLoadExtension('ParserFunctions');
wfLoadExtension('WikiEditor');
if (is_file('/config/settings.php')) {
    require '/config/settings.php';
}
