<#
.SYNOPSIS
    Arranca el microservicio LLM en el puerto 8001.
.DESCRIPTION
    La primera vez crea su entorno virtual e instala lo necesario. Ctrl-C lo detiene.
    Los parámetros se pasan tal cual a "dev.py up --llm-only"; por ejemplo: --llm-port 8011
#>
$ErrorActionPreference = 'Stop'
# El estado de salida de dev.py se devuelve tal cual; que no sea 0 no es un error de este script.
$PSNativeCommandUseErrorActionPreference = $false

function Find-Python {
    # Con 'Stop', Windows PowerShell toma por error cualquier aviso que un programa escriba en stderr.
    $ErrorActionPreference = 'Continue'
    # Cada candidato se ejecuta de verdad: el python.exe de la Microsoft Store solo abre la tienda.
    $candidates = @(
        @('py', '-3.12'),
        @('py', '-3.13'),
        @('py', '-3.11'),
        @('py', '-3.14'),
        @('python3'),
        @('python')
    )
    foreach ($candidate in $candidates) {
        $command = Get-Command $candidate[0] -CommandType Application -ErrorAction SilentlyContinue | Select-Object -First 1
        if (-not $command) { continue }
        $options = @($candidate | Select-Object -Skip 1)
        $answer = ''
        try {
            $answer = & $command.Source @options -c 'import sys; print((3, 11) <= sys.version_info[:2] <= (3, 14))' 2>$null
        } catch {
            continue
        }
        if ("$answer".Trim() -eq 'True') {
            return @($command.Source) + $options
        }
    }
    return @()
}

$python = @(Find-Python)
if ($python.Count -eq 0) {
    Write-Host 'No se encontró Python 3.11, 3.12, 3.13 ni 3.14.' -ForegroundColor Red
    Write-Host 'Instálelo desde https://www.python.org/downloads/ (marque "Add python.exe to PATH") y vuelva a ejecutar este script.'
    exit 1
}
$program = $python[0]
$options = @($python | Select-Object -Skip 1)
$dev = Join-Path $PSScriptRoot 'dev.py'
if (-not (Test-Path -LiteralPath $dev -PathType Leaf)) {
    Write-Host "Falta ${dev}: ejecute este script desde una copia completa del repositorio." -ForegroundColor Red
    exit 1
}

Write-Host 'Arrancando el microservicio LLM...' -ForegroundColor Green
& $program @options $dev up --llm-only @args
exit $LASTEXITCODE
