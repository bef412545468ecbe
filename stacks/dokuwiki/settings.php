<?php
// Settings that the stack keeps, written when the container starts: what is changed in the browser stands beside them.
$conf['useacl'] = 1;
$conf['baseurl'] = 'https://' . getenv('SITE_DOMAIN');
if (getenv('MAIL_SENDER')) {
    $conf['mailfrom'] = getenv('MAIL_SENDER');
}
