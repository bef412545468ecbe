<?php
// As in the published image: what comes with DokuWiki is in conf.core, what is set lies in the volume.
if (!defined('DOKU_CONF')) {
    define('DOKU_CONF', '/var/www/html/conf/');
}
include __DIR__ . '/config_cascade.php';
$core = '/var/www/html/conf.core/';
foreach ($config_cascade as $what => $places) {
    foreach ((array) ($places['default'] ?? []) as $file) {
        if (is_array($places['default']) && file_exists($core . basename($file))) {
            array_unshift($config_cascade[$what]['default'], $core . basename($file));
        }
    }
}
array_unshift($config_cascade['plugins']['protected'], $core . 'plugins.required.php');
