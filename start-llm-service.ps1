<#
.SYNOPSIS
    Arranca el microservicio LLM en el puerto 8001.
.DESCRIPTION
    Es la opción 3 de start-dev.ps1. La primera vez crea su entorno virtual e instala lo necesario. Ctrl-C lo detiene.
    Los parámetros se pasan tal cual a "dev.py up --llm-only"; por ejemplo: --llm-port 8011
#>
& (Join-Path $PSScriptRoot 'start-dev.ps1') 3 @args
exit $LASTEXITCODE
