<?php
// As the published image's: 200 while the database answers, 503 else. Debian's package leaves it out.
set_exception_handler(function ($e) {
    http_response_code(503);
    exit($e->getMessage());
});
require __DIR__.'/app/common.php';
$container['db']->getConnection()->query('SELECT 1');
echo 'ok';
