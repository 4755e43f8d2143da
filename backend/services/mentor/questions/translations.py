"""Spanish for the commonest words asked for in English or Portuguese, so that the dictionary can be searched."""

_ENGLISH = """
dog perro; cat gato; bird pájaro; fish pez; snake culebra; jaguar tigre; tiger tigre; monkey mono; deer venado;
tapir sachavaca; turtle tortuga; butterfly mariposa; ant hormiga; bee abeja; spider araña; frog sapo; pig cerdo;
chicken gallina; hen gallina; rooster gallo; duck pato; animal animal; man hombre; woman mujer; boy niño; girl niña;
child niño; children niños; baby bebé; person persona; people gente; father padre; mother madre; dad papá; mom mamá;
brother hermano; sister hermana; son hijo; daughter hija; grandfather abuelo; grandmother abuela; uncle tío; aunt tía;
husband esposo; wife esposa; friend amigo; teacher maestro; head cabeza; eye ojo; eyes ojo; ear oreja; nose nariz;
mouth boca; tooth diente; teeth diente; tongue lengua; hand mano; arm brazo; leg pierna; foot pie; feet pie;
heart corazón; blood sangre; bone hueso; hair cabello; skin piel; belly barriga; water agua; fire fuego; earth tierra;
sun sol; moon luna; star estrella; sky cielo; rain lluvia; wind viento; river río; stone piedra; rock piedra;
forest monte; jungle selva; tree árbol; leaf hoja; flower flor; fruit fruta; seed semilla; root raíz; path camino;
road camino; day día; night noche; morning mañana; year año; house casa; door puerta; bed cama; hammock hamaca;
canoe canoa; knife cuchillo; axe hacha; basket canasta; pot olla; rope soga; clothes ropa; food comida; meat carne;
cassava yuca; manioc yuca; yuca yuca; corn maíz; banana plátano; plantain plátano; pineapple piña; salt sal;
sugar azúcar; egg huevo; milk leche; one uno; two dos; three tres; four cuatro; five cinco; white blanco; black negro;
red rojo; green verde; yellow amarillo; blue azul; big grande; large grande; small pequeño; little pequeño;
good bueno; bad malo; new nuevo; old viejo; hot caliente; cold frío; long largo; short corto; beautiful bonito;
eat comer; drink beber; sleep dormir; walk caminar; run correr; come venir; go ir; see ver; hear oír; speak hablar;
sing cantar; dance bailar; work trabajar; give dar; die morir; live vivir; love amar; want querer; know saber;
laugh reír; cry llorar; swim nadar; fly volar; write escribir; read leer; cook cocinar; hunt cazar; name nombre;
word palabra; book libro; school escuela; village pueblo; language idioma; song canción; tale cuento; story cuento
"""
_PORTUGUESE = """
cachorro perro; cão perro; cao perro; pássaro pájaro; passaro pájaro; peixe pez; cobra culebra; onça tigre;
macaco mono; veado venado; anta sachavaca; tartaruga tortuga; borboleta mariposa; formiga hormiga; abelha abeja;
aranha araña; porco cerdo; galinha gallina; homem hombre; mulher mujer; menino niño; menina niña; criança niño;
pessoa persona; pai padre; mãe madre; mae madre; irmão hermano; irmao hermano; irmã hermana; irma hermana; filho hijo;
filha hija; avô abuelo; avó abuela; tio tío; tia tía; amigo amigo; professor maestro; professora maestra;
cabeça cabeza; olho ojo; orelha oreja; nariz nariz; boca boca; dente diente; língua lengua; mão mano; mao mano;
braço brazo; perna pierna; pé pie; coração corazón; sangue sangre; osso hueso; cabelo cabello; pele piel; água agua;
fogo fuego; terra tierra; lua luna; estrela estrella; céu cielo; chuva lluvia; vento viento; rio río; pedra piedra;
floresta monte; selva selva; árvore árbol; folha hoja; fruta fruta; semente semilla; raiz raíz; caminho camino;
dia día; noite noche; manhã mañana; ano año; porta puerta; rede hamaca; canoa canoa; faca cuchillo; machado hacha;
cesto canasta; panela olla; corda soga; roupa ropa; carne carne; mandioca yuca; milho maíz; banana plátano;
abacaxi piña; sal sal; ovo huevo; leite leche; um uno; dois dos; três tres; quatro cuatro; cinco cinco; branco blanco;
preto negro; vermelho rojo; verde verde; amarelo amarillo; azul azul; grande grande; pequeno pequeño; bom bueno;
mau malo; novo nuevo; velho viejo; quente caliente; frio frío; comer comer; beber beber; dormir dormir; andar caminar;
correr correr; vir venir; ver ver; ouvir oír; falar hablar; cantar cantar; dançar bailar; trabalhar trabajar; dar dar;
morrer morir; viver vivir; nome nombre; livro libro; escola escuela
"""


def _pairs(text: str) -> dict[str, str]:
    words = text.replace(";", " ").split()
    return dict(zip(words[::2], words[1::2], strict=True))


FROM_ENGLISH = _pairs(_ENGLISH)
FROM_PORTUGUESE = _pairs(_PORTUGUESE)
