<#
.SYNOPSIS
    Arranca MIAPPBORA para desarrollo.
.DESCRIPTION
    Opciones: 1 Backend + Frontend, 2 Backend + Frontend + LLM, 3 solo LLM.
    Sin parámetro pregunta cuál. La página que sirve el backend es el frontend; si al lado hay una
    carpeta "frontend" con package.json, las opciones 1 y 2 ejecutan además "npm run dev" en ella.
    Lo que siga a la opción se pasa tal cual a "dev.py up"; por ejemplo: .\start-dev.ps1 2 --llm-port 8011
.PARAMETER Opcion
    1, 2 o 3.
#>
param(
    [Parameter(Position = 0)]
    [string]$Opcion = '',
    [Parameter(Position = 1, ValueFromRemainingArguments = $true)]
    [string[]]$Resto = @()
)
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

if (-not $Opcion) {
    Write-Host ''
    Write-Host 'MIAPPBORA: ¿qué desea arrancar?' -ForegroundColor Green
    Write-Host '  1  Backend + Frontend'
    Write-Host '  2  Backend + Frontend + LLM'
    Write-Host '  3  Solo LLM'
    $Opcion = Read-Host 'Opción (1, 2 o 3)'
}
switch ($Opcion.Trim()) {
    '1' { $what = @('--backend-only') }
    '2' { $what = @() }
    '3' { $what = @('--llm-only') }
    default {
        Write-Host "La opción `"$Opcion`" no existe: elija 1, 2 o 3." -ForegroundColor Red
        exit 2
    }
}

$frontend = $null
$folder = Join-Path $PSScriptRoot 'frontend'
if (($Opcion.Trim() -ne '3') -and (Test-Path -LiteralPath (Join-Path $folder 'package.json'))) {
    $npm = Get-Command 'npm.cmd', 'npm' -CommandType Application -ErrorAction SilentlyContinue | Select-Object -First 1
    if ($npm) {
        Write-Host 'Arrancando el frontend (npm run dev)...' -ForegroundColor Green
        $frontend = Start-Process -FilePath $npm.Source -ArgumentList 'run', 'dev' -WorkingDirectory $folder -PassThru
    } else {
        Write-Host 'Hay un frontend, pero no se encontró npm: instale Node.js para arrancarlo.' -ForegroundColor Yellow
    }
}

$status = 1
try {
    & $program @options $dev up @what @Resto
    $status = $LASTEXITCODE
} finally {
    # También después de Ctrl-C; npm deja procesos hijos, así que se termina todo su árbol.
    if ($frontend -and -not $frontend.HasExited) {
        if (Get-Command 'taskkill.exe' -ErrorAction SilentlyContinue) {
            & taskkill.exe /T /F /PID $frontend.Id | Out-Null
        } else {
            Stop-Process -Id $frontend.Id -Force -ErrorAction SilentlyContinue
        }
    }
}
exit $status
